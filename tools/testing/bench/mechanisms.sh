# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The ways to see verdicts that are compared, for scripts in the guest: how each is
# switched on and off, and what it says that it has seen. Sourced, with $out where
# run has built the programs, and a directory $scratch.
#
# A name that ends in "+count" is the same way, for a program that does the useful
# job: it counts by table, chain and verdict.
#
# shellcheck disable=SC2154 # $out, $scratch

bpf=(raw_tp tp_btf tp fentry fexit kprobe kretprobe kprobe.multi kretprobe.multi kprobe.session)
# shellcheck disable=SC2034 # for who sources this
{
	plain=(iptverdict c_twin "${bpf[@]}" event perf TRACE)
	all=("${plain[@]}" "${bpf[@]/%/+count}")
}

pins=/sys/fs/bpf/bench
instance=/sys/kernel/tracing/instances/bench

# wait_for TEXT FILE: what a listener writes when it listens.
wait_for() {
	local i
	for ((i = 0; i < 600; i++)); do
		! grep -q "$1" "$2" || return 0
		sleep 0.05
	done
	cat "$2" >&2
	return 1
}

# attach NAME: fails, with the reason as its last line of output, where there is none.
attach() {
	local net
	case $1 in
	unpatched | off) ;;
	iptverdict) modprobe iptverdict ;;
	c_twin) insmod "$out/module/ipt_twin.ko" ;;
	event)
		mkdir "$instance"
		# All that is to be counted fits.
		echo 16384 >"$instance/buffer_size_kb"
		echo 1 >"$instance/events/iptables/ipt_verdict/enable"
		;;
	perf)
		mkfifo "$scratch/control" "$scratch/ack"
		perf record --quiet --all-cpus --event iptables:ipt_verdict --mmap-pages 16M --delay=-1 \
			--control "fifo:$scratch/control,$scratch/ack" \
			--output "$scratch/perf.data" >"$scratch/perf" 2>&1 &
		listener=$!
		echo enable >"$scratch/control"
		read -r _ <"$scratch/ack"
		;;
	TRACE)
		modprobe nfnetlink_log
		listener=
		# The packets of a network namespace are told there only.
		for net in /run/netns/rules*; do
			nsenter --net="$net" sysctl -qw net.netfilter.nf_log.2=nfnetlink_log
			rm -f "$scratch/nflog-${net##*/}"
			nsenter --net="$net" tcpdump -B 65536 -U -i nflog:0 -w "$scratch/nflog-${net##*/}" \
				2>"$scratch/tcpdump" &
			listener+=" $!"
			wait_for 'listening on' "$scratch/tcpdump"
		done
		echo 1 >/sys/module/ipt_bench/parameters/trace
		;;
	*)
		bpftool prog loadall "$out/$1.bpf.o" "$pins" autoattach
		;;
	esac
}

detach() {
	local net
	case $1 in
	unpatched | off) ;;
	iptverdict) rmmod iptverdict ;;
	c_twin) rmmod ipt_twin ;;
	event)
		echo 0 >"$instance/events/enable"
		rmdir "$instance"
		;;
	perf)
		stop_listener
		rm "$scratch"/{control,ack,perf.data}
		;;
	TRACE)
		stop_listener
		echo 0 >/sys/module/ipt_bench/parameters/trace
		for net in /run/netns/rules*; do
			nsenter --net="$net" sysctl -qw net.netfilter.nf_log.2=NONE
		done
		;;
	*)
		rm -r "$pins"
		;;
	esac
}

stop_listener() {
	# shellcheck disable=SC2086 # process IDs
	kill -INT $listener 2>/dev/null || :
	wait
}

# seen NAME: how many events it has seen, or "-" for what does not count.
seen() {
	case $1 in
	iptverdict) awk '$1 == "ipv4" { n += $5 } END { print n + 0 }' /sys/kernel/debug/iptverdict/stats ;;
	event) awk '/^(entries|overrun):/ { n += $2 } END { print n }' "$instance"/per_cpu/cpu*/stats ;;
	perf)
		stop_listener
		perf script --input "$scratch/perf.data" 2>/dev/null | grep -c ipt_verdict: || :
		;;
	TRACE)
		sleep 1
		stop_listener
		cat "$scratch"/nflog-* | tcpdump -r - 2>/dev/null | wc -l
		;;
	unpatched | off | c_twin) echo - ;;
	*)
		bpftool --json map dump name hits |
			python3 -c 'import json, sys
print(sum(int(value["value"]["packets"]) for item in json.load(sys.stdin)
          for value in item["formatted"]["values"]))'
		;;
	esac
}

# misses NAME: those that it says itself that it has missed; "-" where it says nothing.
misses() {
	case $1 in
	*probe*)
		{
			bpftool --json link show
			bpftool --json prog show name bench
		} | grep -o '"\(missed\|recursion_misses\)":[0-9]*' |
			awk -F: '{ n += $2 } END { print n + 0 }'
		;;
	*) echo - ;;
	esac
}
