#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# iptverdict export: its metrics are the counts of the module, as Prometheus and node_exporter
# read them.
#
# needs CONFIG_RUST

# In a network namespace of its own: the module also counts what the servers of this test say to
# each other, if an earlier test left a table in the namespace of the guest.
[[ ${own_net:-} ]] || own_net=1 exec unshare --net "$0"

# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$SELFTESTS/lib.sh"
# shellcheck source=tools/testing/guest/command/lib.sh
. "$REPO/tools/testing/guest/command/lib.sh"

exporter=127.0.0.1:9999
prometheus=127.0.0.1:9090
node_exporter=127.0.0.1:9100

# get ADDRESS PATH [METHOD]: prints the answer to a request, without carriage returns.
get() {
	local answer
	exec {answer}<>"/dev/tcp/${1%:*}/${1#*:}"
	printf '%s %s HTTP/1.0\r\n\r\n' "${3:-GET}" "$2" >&"$answer"
	timeout 20 tr -d '\r' <&"$answer"
	exec {answer}>&-
}

# rows: prints the metrics as the lines of the module: family table chain verdict packets bytes.
rows() {
	awk -F'[{}=", ]+' '
		/^iptverdict_(packets|bytes)_total/ {
			for (i = 2; i < NF; i += 2)
				label[$i] = $(i + 1)
			key = label["family"] " " label["table"] " " label["chain"] " " label["verdict"]
			count[$1, key] = $NF
			keys[key]
		}
		END {
			for (key in keys)
				printf "%s %.0f %.0f\n", key, count["iptverdict_packets_total", key], count["iptverdict_bytes_total", key]
		}' | sort
}

# module: prints the lines of the module, in the same order.
module() {
	sed 1d $debugfs/stats | sort
}

# background NAME COMMAND...: starts a server in the background, which the end of the test kills.
background() {
	local name=$1
	shift
	"$@" >"$work/$name.log" 2>&1 &
	pids[$name]=$!
}

make_hosts
drop_two_ports
ip link set lo up
modprobe iptverdict
mkdir "$work/collector"
start export export --listen $exporter
start textfile export --textfile "$work/collector/iptverdict.prom" --interval 1
start drops export --listen 127.0.0.1:9998 --verdict DROP --table filter

cat >"$work/prometheus.yml" <<X
global: { scrape_interval: 1s }
scrape_configs:
  - job_name: iptverdict
    static_configs: [ { targets: [ "$exporter" ] } ]
X
background prometheus prometheus --config.file="$work/prometheus.yml" \
	--storage.tsdb.path="$work/tsdb" --web.listen-address=$prometheus
background node_exporter prometheus-node-exporter --web.listen-address=$node_exporter \
	--collector.disable-defaults --collector.textfile --collector.textfile.directory="$work/collector"

datagrams $server 7 7 8 19
datagrams $server6 8 19
in_net client ping -qc 3 -i 0.1 $server >/dev/null
settle
get $exporter /metrics >"$work/metrics"
check "command: export: counts as the module" "$(rows <"$work/metrics")" "$(module)"
check "command: export: counts drops of iptables and nftables" \
	"$(rows <"$work/metrics" | grep DROP)" \
	"ipv4 filter FORWARD DROP 2 76
ipv4 nftables FORWARD DROP 1 38
ipv6 nftables FORWARD DROP 1 58"
check "command: export: says that nothing was lost" \
	"$(grep '^iptverdict_lost' "$work/metrics")" "iptverdict_lost_packets_total 0"
check "command: export: the type of OpenMetrics" "$(grep '^Content-Type' "$work/metrics")" \
	"Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8"
check "command: export: filters" "$(get 127.0.0.1:9998 /metrics | rows)" \
	"ipv4 filter FORWARD DROP 2 76"

# A replaced ruleset, and a namespace that ends, take no counts with them.
in_net router iptables-legacy-save >"$work/rules"
in_net router iptables-legacy-restore <"$work/rules"
datagrams $server 7
remove_hosts
drops='ipv4 filter FORWARD DROP 3 114'
check "command: export: keeps counts of rulesets and namespaces that are gone" \
	"$(get $exporter /metrics | rows | grep "^${drops% * *}")" "$drops"

# What the tools of Prometheus make of it. The file is written each second.
file=$work/collector/iptverdict.prom
written() {
	[[ $(rows <"$file" | grep "^${drops% * *}") == "$drops" ]]
}
wait_until written
check_that "command: export: promtool finds nothing wrong in the file" promtool check metrics <"$file"
read_by_node_exporter() {
	get $node_exporter /metrics >"$work/node" && [[ $(rows <"$work/node" | grep "^${drops% * *}") == "$drops" ]]
}
wait_until read_by_node_exporter
check "command: export: node_exporter has the counts of the module" "$(rows <"$work/node")" "$(module)"
check "command: export: node_exporter knows the types of the metrics" \
	"$(grep '^# TYPE iptverdict' "$work/node" | sort)" \
	"# TYPE iptverdict_bytes_total counter
# TYPE iptverdict_lost_packets_total counter
# TYPE iptverdict_packets_total counter"
# value METRIC: what Prometheus has for the drops.
value() {
	promtool query instant http://$prometheus "$1{table=\"filter\",verdict=\"DROP\"}" |
		sed -n 's/.* => \([0-9]*\) @.*/\1/p'
}
scraped() {
	[[ $(value iptverdict_bytes_total 2>&1) == "${drops##* }" ]]
}
wait_until scraped
check "command: export: Prometheus has the packets" "$(value iptverdict_packets_total)" 3
check "command: export: Prometheus knows the types of the metrics" \
	"$(get $prometheus /api/v1/metadata?metric=iptverdict_packets | grep -o '"type":"[a-z]*"')" '"type":"counter"'

# Wrong requests, and clients that say nothing.
check "command: export: another path: 404" "$(get $exporter / | head -1)" "HTTP/1.1 404 Not Found"
check "command: export: another method: 405" "$(get $exporter /metrics POST | head -1)" \
	"HTTP/1.1 405 Method Not Allowed"
silent=()
# silent COUNT: opens so many connections.
silent() {
	local i fd
	for ((i = 0; i < $1; i++)); do
		exec {fd}<>"/dev/tcp/${exporter%:*}/${exporter#*:}"
		silent+=("$fd")
	done
}
# answers: succeeds if the exporter answers.
answers() {
	[[ $(get $exporter /metrics 2>/dev/null | head -1) == "HTTP/1.1 200 OK" ]]
}
hang_up() {
	local fd
	for fd in "${silent[@]}"; do
		exec {fd}>&-
	done
	silent=()
}
silent 100
check_that "command: export: answers while others are silent" answers
hang_up
wait_until answers
# shellcheck disable=SC2012 # names are numbers
last=$(ls "/proc/${pids[export]}/fd" | sort -n | tail -n 1)
prlimit --pid "${pids[export]}" --nofile=$((last + 4))
silent 10
wait_until answers
hang_up
check "command: export: answers after it had no file left for clients" \
	"$(get $exporter /metrics | rows | grep "^${drops% * *}")" "$drops"

check_fails "command: export: needs --listen or --textfile" "required arguments" iptverdict export
check_fails "command: export: rejects --listen with --textfile" "cannot be used with" \
	iptverdict export --listen $exporter --textfile x.prom
check_fails "command: export: reports a port in use" \
	"^iptverdict: cannot listen at $exporter: Address already in use" iptverdict export --listen $exporter
check_fails "command: export: --listen rejects what is not an address" "invalid value 'here'" iptverdict export --listen here
check_fails "command: export: --textfile rejects a file that node_exporter does not read" \
	"^iptverdict: --textfile x: node_exporter reads files whose names end in .prom$" \
	iptverdict export --textfile x
check_fails "command: export: --textfile reports a directory that does not exist" \
	"^iptverdict: cannot write /no/x.prom: No such file or directory" iptverdict export --textfile /no/x.prom

# Another user may write to the directory.
ln -s "$work/victim" "$work/collector/other.prom.new"
start other export --textfile "$work/collector/other.prom"
stop other
check_fails "command: export: does not write through a symbolic link" "No such file" ls "$work/victim"

for name in export textfile drops prometheus node_exporter; do
	stop $name TERM
done
check "command: export: removes its file when it ends" "$(ls "$work/collector")" ""
check "command: export: standard error is only the line that counting began" "$(cat "$work"/{export,textfile,drops}.err)" \
	"iptverdict: counting; http://$exporter/metrics
iptverdict: counting; $file
iptverdict: counting; http://127.0.0.1:9998/metrics"
rmmod iptverdict

done_testing
