# SPDX-License-Identifier: GPL-2.0
#
# The commands of iptverdict: each runs a script in tools/. 'make help' lists them.

.DEFAULT_GOAL := help
.PHONY: help run test test-kernels soak bench bench-doc pictures bench-here deb packages dkms-source vm toolbox kernel module command series apply patches clean

# Pass CMD to the scripts unexpanded: a $ in it is for the shell.
IPTVERDICT_CMD := $(value CMD)
export IPTVERDICT_CMD
MAKEOVERRIDES =
unexport CMD

define HELP
make run                 boot Debian's own kernel with the events and the module, send traffic
                         through a router, and compare the module's counters with those of
                         the rules, bpftrace and iptverdict watch; fails if they differ.
                         KERNEL=patched: on a patched kernel
make test                run all tests; the last line says how many passed and failed
make test-kernels        test all supported kernels: does the series apply, compile by gcc and
                         clang, boot? Takes hours
make soak                run what takes too long for make test: hours in all. PARTS= selects from
                         boots oracle churn command nets cpus debug locks
                         memory races
make bench               measure what each way to see verdicts costs and what it loses. PARTS=
                         selects from cost stock packet throughput latency lost
                         parallel reading old hold scaling
make bench-doc           the same, and update the tables and plots in the documents
make pictures            make the pictures of iptverdict watch and top in README from a run
make bench-here          measure the cost on this machine, which must run a patched kernel.
                         MECHANISMS= selects; BUILT=DIR has what make bench built for this kernel
make packages            build Debian packages in build/deb/: the command iptverdict; and the events
                         and the module for the kernels of Debian 12 and 13, by DKMS
make dkms-source         write the same as trees for 'dkms add' into build/dkms/
make deb CONFIG_FILE=    build Debian packages of the kernel and the module in build/deb/, with
                         your configuration, or by default with that of the tests

make vm CMD='...'        run a command as root in the built kernel; fails if the command fails.
                         Without CMD, a shell. tools/testing/vm/boot '...' exits with its status
make toolbox CMD='...'   run a command in the build environment, with $$KDIR set. Without CMD,
                         a shell
make kernel              build the patched kernel
make module              build the module against $$KDIR
make command             build the command iptverdict in build/command/
make series              write the series as mails into build/series/
make apply KSRC=~/linux  apply the series to your kernel tree: all of it or nothing
make patches             write the commits of build/linux-$$KVER back to patches/
make clean               remove build/, but not the cache

KVER=7.3                 the kernel, by the version of its Debian source package
CONFIG=default           the configuration; debug, locks and races are instrumented kernels, and
                         stock is Debian's own kernel with the packages
COMPILER=clang           or gcc, which cannot build the Rust part
KDIR=                    the kernel build directory, for make module and make vm
VCPUS=2 QEMU_OPTS=       for the guest; also MEMORY= KERNEL_OPTS= VM_TIMEOUT= ACCEL=kvm|tcg
MIRROR=                  the Debian mirror; by default that of this machine's apt
endef

help:
	$(info $(HELP))
	@:

run:
	@tools/testing/demo/demo

test:
	@tools/testing/run

test-kernels:
	@tools/testing/kernels

soak:
	@tools/testing/soak $(PARTS)

bench:
	@tools/testing/bench/bench $(PARTS)

bench-doc: bench
	@tools/testing/bench/document

pictures:
	@tools/testing/demo/pictures

bench-here:
	@tools/testing/bench/here $(MECHANISMS)

deb:
	@tools/kernel/deb

packages:
	@tools/dkms/build-packages

dkms-source:
	@tools/dkms/build-source

vm: kernel
	@tools/testing/vm/boot $(if $(IPTVERDICT_CMD),"$$IPTVERDICT_CMD")

toolbox:
	@tools/toolbox/enter $(if $(IPTVERDICT_CMD),bash -c "$$IPTVERDICT_CMD")

kernel:
	@tools/kernel/build-kernel

module:
	@tools/kernel/module

command:
	@tools/iptverdict/build-command

series:
	@tools/kernel/series

apply:
	@tools/kernel/apply

patches:
	@tools/kernel/patches

clean:
	rm -rf build
