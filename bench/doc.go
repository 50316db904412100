// Command bench is memherd's load generator. Without arguments it is the demo: a
// fleet of five nodes in this process, a real SQLite database behind them, and a
// client that keeps answering while a key goes viral and a node dies.
//
//	go run ./bench                      the demo, about 35 seconds
//	go run ./bench run                  a workload: uniform, zipf, a moving hot spot, a flash crowd, or as one of Twitter's clusters
//	go run ./bench replay -trace FILE   recorded requests: *.keys, Twitter CSV, or what memcached prints for lru_crawler
//	                                    metadump and watch; plain, gzip or zstd; -speed 1 at their own pace
//	go run ./bench nodes -n 3 -p 21211  nodes to play with by telnet or memccat
//	go run ./bench compare              memherd beside gomemcache, grafana/gomemcache and rueidis on Redis; -on memcached,memnode
//	go run ./bench scenario -list       what is promised when something breaks; scenario NAME or all plays it
//	go run ./bench fault, loads, hot    a group of these each, with settings and figures of its own
//	go run ./bench top -servers ADDR    what a running fleet is asked for most
//	go run ./bench node, hitratio       memnode beside memcached: speed and memory, hit ratios on a trace
//
// Flags may be written with one dash or two. The exit status is 0 if all went
// well, 1 if a caller saw an error or a wrong value or the run failed, and 2 if it
// was asked for something it can't do; then nothing was done.
package main
