// SPDX-License-Identifier: GPL-2.0

#include <linux/tracepoint.h>

__rust_helper void rust_helper_tracepoint_synchronize_unregister(void)
{
	tracepoint_synchronize_unregister();
}
