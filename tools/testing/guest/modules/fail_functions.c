// SPDX-License-Identifier: GPL-2.0
/*
 * Allows fail_function to fail the functions that the initialisation of iptverdict calls:
 * per-CPU allocation, probe registration, debugfs files and directories. See
 * Documentation/fault-injection/fault-injection.rst.
 */
#include <linux/debugfs.h>
#include <linux/error-injection.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/tracepoint.h>

ALLOW_ERROR_INJECTION(pcpu_alloc_noprof, NULL);
ALLOW_ERROR_INJECTION(tracepoint_probe_register_prio_may_exist, ERRNO);
ALLOW_ERROR_INJECTION(debugfs_create_dir, ERRNO);
ALLOW_ERROR_INJECTION(debugfs_create_file_full, ERRNO);

static int __init fail_functions_init(void)
{
	return 0;
}

static void __exit fail_functions_exit(void)
{
}

module_init(fail_functions_init);
module_exit(fail_functions_exit);

MODULE_DESCRIPTION("Allows fail_function to fail the functions that iptverdict calls");
MODULE_LICENSE("GPL");
