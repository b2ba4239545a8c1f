# SPDX-License-Identifier: GPL-2.0
#
# The commands of iptverdict. Each is a script in tools/; 'make help' lists them.

.DEFAULT_GOAL := help
.PHONY: help run test test-kernels soak bench bench-doc bench-here deb vm toolbox kernel module series apply patches clean

# CMD goes to the scripts as it was typed: a $ in it is the shell's, not make's.
IPTVERDICT_CMD := $(value CMD)
export IPTVERDICT_CMD
MAKEOVERRIDES =
unexport CMD

define HELP
make run                 the main job: everything is set up, the patched kernel boots, real
                         traffic goes through a real ruleset, and the module's counters stand
                         beside those of iptables; fails if the two disagree
make test                all tests; the last line says how many passed and failed
make test-kernels        on all kernels that we support: does the series apply, compile by
                         gcc and clang, boot? About an hour
make soak                what takes too long for make test, hours in all; PARTS= for less:
                         oracle churn nets cpus debug memory locks races
make bench               what every way to see verdicts costs, and what it loses; PARTS= for less:
                         cost packet lost parallel reading story
make bench-doc           the same, and puts tables and plots into Documentation/ and README
make bench-here          the cost on this machine, if it runs a patched kernel; MECHANISMS= for
                         less, BUILT=DIR with what make bench has built for this kernel elsewhere
make deb CONFIG_FILE=    Debian packages of the kernel and the module, in build/deb/, from your
                         own configuration, or from that of the tests

make vm CMD='...'        runs a command in the built kernel, as root; its exit status is printed
                         and decides (make itself knows only 0 and 2; tools/testing/vm/run '...'
                         gives it as it is). Without CMD, a shell
make toolbox CMD='...'   runs a command in the build environment, with $$KDIR set. Without CMD,
                         a shell
make kernel              builds the patched kernel
make module              rebuilds the module against $$KDIR in seconds
make series              writes the mail-ready series into build/series/
make apply KSRC=~/linux  puts the series into your own kernel tree, all or nothing
make patches             takes the commits of build/linux-$$KVER back into patches/
make clean               removes build/; the cache stays

KVER=7.3                 the kernel, by the version of its Debian source package
CONFIG=default           its configuration; debug, locks and races are instrumented ones
COMPILER=clang           or gcc, which cannot build the Rust part
KDIR=                    the kernel build directory, for make module and make vm
VCPUS=2 QEMU_OPTS=       for the guest; also MEMORY= KERNEL_OPTS= VM_TIMEOUT= ACCEL=kvm|tcg
MIRROR=                  the Debian mirror, if not that of this machine's apt
endef

help:
	$(info $(HELP))
	@:

run:
	@tools/testing/demo/run

test:
	@tools/testing/run

test-kernels:
	@tools/testing/kernels

soak:
	@tools/testing/soak $(PARTS)

bench:
	@tools/testing/bench/run $(PARTS)

bench-doc: bench
	@tools/testing/bench/document

bench-here:
	@tools/testing/bench/here $(MECHANISMS)

deb:
	@tools/kernel/deb

vm: kernel
	@tools/testing/vm/run $(if $(IPTVERDICT_CMD),"$$IPTVERDICT_CMD")

toolbox:
	@tools/toolbox/enter $(if $(IPTVERDICT_CMD),bash -c "$$IPTVERDICT_CMD")

kernel:
	@tools/kernel/build

module:
	@tools/kernel/module

series:
	@tools/kernel/series

apply:
	@tools/kernel/apply

patches:
	@tools/kernel/patches

clean:
	rm -rf build
