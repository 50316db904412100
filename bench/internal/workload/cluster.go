package workload

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// Cluster is what was measured of one of Twitter's production cache clusters in March 2020: facts from stat/2020Mar.md of
// github.com/twitter/cache-trace (CC-BY-4.0), which goes with Yang, Yue, Rashmi, "A large scale analysis of hundreds of
// in-memory cache clusters at Twitter", OSDI 2020. Cluster 5 has no figures there.
type Cluster struct {
	Number     int
	KeyBytes   int     // mean length of a key
	ValueBytes int     // mean size of a value
	KQPS       float64 // thousands of requests a second, to one instance
	Zipf       float64 // exponent of the popularity; negative where none was fitted
	TTLs       string  // the most common ones, as "TTL:share, …"; what is missing to 1 are others
	Mix        string  // the operations, as "operation:share …"
}

var clusters = []Cluster{
	{1, 80, 267, 11.40, 2.6774, "240s:1.00", "get:0.99"},
	{2, 21, 68, 12.15, 1.4908, "4d:0.59, 2d:0.41", "get:1.00"},
	{3, 19, 120, 1.36, 1.6414, "7d:1.00", "get:0.99"},
	{4, 67, 2439, 5.26, 1.1004, "60s:0.39, 300s:0.24, 1h:0.13, 600s:0.12, 4h:0.09, 1d:0.03", "get:0.93 set:0.07"},
	{6, 44, 252, 12.61, 1.882, "520s:0.03, 510s:0.03, 490s:0.03, 590s:0.03, 540s:0.03, 550s:0.03, 570s:0.02, 500s:0.02, 580s:0.02, 596s:0.02", "get:0.98 set:0.02"},
	{7, 17, 1936, 1.62, 1.0666, "1.8h:0.28, 1.7h:0.24, 1.9h:0.23, 1.6h:0.13, 2h:0.12", "get:0.82 set:0.18"},
	{8, 23, 9497, 2.11, 1.7366, "1380s:0.95, 1379s:0.05", "set:0.50 get:0.50"},
	{9, 32, 39, 18.83, 1.6796, "2h:0.79, 1.4h:0.02, 1.1h:0.02, 1.9h:0.02, 1.6h:0.02, 1.2h:0.02, 1.8h:0.02, 1.5h:0.02, 1.7h:0.02, 1.3h:0.02", "get:0.99"},
	{10, 22, 2333, 0.22, 0, "2h:1.00", "add:0.50 get:0.50"},
	{11, 24, 170, 4.16, 1.4891, "5d:0.97, 20s:0.03", "get:0.96 add:0.02 gets:0.01 cas:0.01"},
	{12, 44, 1030, 4.36, 0.3048, "300s:0.98, 299s:0.02", "set:0.80 get:0.20"},
	{13, 44, 4266, 1.34, 0.4565, "300s:0.97, 299s:0.03", "get:0.38 set:0.62"},
	{14, 96, 414, 5.81, 1.2959, "1d:1.00", "get:0.65 delete:0.22 set:0.13"},
	{15, 18, 102, 9.02, 0.0242, "30s:1.00", "set:1.00"},
	{16, 18, 115, 17.51, 1.7862, "1h:0.99", "get:0.93 set:0.04 add:0.01"},
	{17, 19, 212, 0.35, 2.1106, "5d:1.00", "get:0.99"},
	{18, 18, 37, 26.40, 2.0994, "12h:1.00", "get:0.96 add:0.01 gets:0.01 cas:0.01"},
	{19, 42, 101, 3.31, 0.735, "7.5h:0.08, 7.4h:0.07, 6.6h:0.07, 7.2h:0.07, 6.7h:0.07, 7h:0.07, 7.1h:0.07, 6.8h:0.07, 6.9h:0.07, 7.3h:0.06", "get:0.75 set:0.25"},
	{20, 26, 55, 5.63, 1.3699, "5d:0.99", "get:0.96 add:0.03"},
	{21, 25, 1, 2.18, 0.0521, "2.2h:0.62, 10s:0.23, 900s:0.14", "add:1.00"},
	{22, 54, 4, 3.24, 0.7624, "1d:0.85, 1h:0.11, 1800s:0.03", "get:0.72 incr:0.18 set:0.10"},
	{23, 35, 224, 8.69, 0.274, "120s:0.93, 2700s:0.05, 5s:0.03", "set:0.31 get:0.36 incr:0.30 delete:0.02"},
	{24, 32, 699, 5.29, 1.3726, "14d:0.71, 60s:0.19, 30d:0.03, 1d:0.02, 1h:0.02", "get:0.99"},
	{25, 49, 28, 18.97, 0.9929, "30d:0.99", "get:0.95 add:0.02 gets:0.02 cas:0.02"},
	{26, 122, 1745, 0.25, 0.6299, "60s:0.67, 120s:0.10, 360s:0.09, 600s:0.06, 660s:0.03, 180s:0.02", "get:0.71 set:0.29"},
	{27, 66, 8, 24.55, 1.065, "92.6d:0.28, 1d:0.25, 1h:0.20, 4h:0.18, 6h:0.06, 12h:0.02", "get:0.85 set:0.15"},
	{28, 45, 85, 9.05, 1.503, "3h:0.56, 1.2d:0.43", "get:0.91 set:0.03 add:0.03"},
	{29, 36, 799, 10.73, 1.2323, "1h:0.67, 2h:0.33", "get:0.86 set:0.13"},
	{30, 22, 689, 3.85, 1.4259, "12h:0.36, 10.2h:0.04, 11.8h:0.04, 9.7h:0.03, 10.6h:0.03, 11.5h:0.03, 11h:0.03, 11.3h:0.03, 11.7h:0.03, 11.9h:0.03", "get:0.99"},
	{31, 41, 15, 2.52, 0, "60s:1.00", "set:0.94 get:0.06"},
	{32, 41, 138, 7.35, 0, "60s:1.00", "set:0.98 get:0.02"},
	{33, 24, 1118, 10.53, 1.354, "10.7h:0.05, 11.2h:0.05, 11.7h:0.04, 11.6h:0.04, 11.5h:0.04, 10.9h:0.04, 11.3h:0.04, 10.6h:0.04, 9.8h:0.04, 11.1h:0.04", "get:0.99 set:0.01"},
	{34, 33, 322, 3.40, 1.1401, "10.6h:0.04, 10.5h:0.04, 11.1h:0.04, 9.8h:0.04, 11.2h:0.04, 10.7h:0.04, 9.7h:0.04, 10h:0.04, 10.1h:0.03, 10.4h:0.03", "get:0.94 set:0.06"},
	{35, 19, 1796, 3.06, 0, "60s:1.00", "get:0.96 set:0.04"},
	{36, 23, 78, 9.08, 1.2169, "30d:1.00", "get:0.93 add:0.04 gets:0.01 cas:0.01"},
	{37, 72, 20134, 4.15, 0.4251, "20s:0.91, 300s:0.06, 2h:0.02, 600s:0.01", "set:0.37 get:0.63"},
	{38, 41, 185, 2.52, 0, "60s:1.00", "set:0.94 get:0.06"},
	{39, 41, 80, 2.52, 0, "60s:1.00", "set:0.94 get:0.06"},
	{40, 44, 155, 6.26, 0.8551, "8h:0.95, 1d:0.05", "set:0.50 get:0.50"},
	{41, 44, 171, 5.18, 0.8542, "8h:0.95, 1d:0.05", "get:0.50 set:0.50"},
	{42, 40, 4703, 6.84, 1.5974, "600s:0.82, 300s:0.16, 6h:0.02", "get:0.96 add:0.04"},
	{43, 44, 304, 14.54, -1, "8h:1.00", "set:0.50 get:0.50"},
	{44, 25, 22, 9.41, 1.4084, "30d:1.00", "get:0.98 add:0.01"},
	{45, 10, 120, 0.33, 0.6372, "15d:1.00", "add:0.15 get:0.85"},
	{46, 44, 928, 10.47, -1, "12h:0.58, 1h:0.41", "set:0.32 get:0.68"},
	{47, 44, 267, 9.54, 2.0637, "2d:1.00", "get:1.00"},
	{48, 44, 70, 1.84, 0.8191, "1d:1.00", "set:0.35 get:0.65"},
	{49, 44, 10658, 1.25, 1.5095, "1d:0.99, 24h:0.01", "set:0.43 get:0.57"},
	{50, 18, 67485, 0.24, 1.2816, "900s:0.73, 1200s:0.24, 1199s:0.03", "get:0.52 set:0.48"},
	{51, 44, 221, 10.40, 1.9745, "2d:1.00", "get:0.90 set:0.10"},
	{52, 20, 273, 24.25, 1.2117, "1d:0.65, 14d:0.27, 12h:0.07", "get:0.91 add:0.04 gets:0.02 cas:0.02"},
	{53, 36, 9213, 1.38, 1.2061, "30d:0.66, 21d:0.34", "get:0.89 set:0.03 prepend:0.09"},
	{54, 19, 246, 0.65, 1.611, "3.8h:0.13, 3.3h:0.13, 3.4h:0.13, 3.9h:0.12, 3.5h:0.12, 3.6h:0.12, 3.7h:0.11, 4h:0.07, 3.2h:0.06", "get:0.97 set:0.03"},
}

// FindCluster returns the cluster of that number.
func FindCluster(number int) (Cluster, error) {
	for _, c := range clusters {
		if c.Number == number {
			return c, nil
		}
	}
	if number == 5 {
		return Cluster{}, fmt.Errorf("nothing was published of cluster 5: give another one")
	}
	return Cluster{}, fmt.Errorf("there is no cluster %d: give a number from 1 to %d", number, clusters[len(clusters)-1].Number)
}

// Shares are the shares of requests that read, write and delete a key. An operation that reads to write (gets, cas)
// counts as what it is; the sum is 1.
func (c Cluster) Shares() (reads, writes, deletes float64) {
	for _, word := range strings.Fields(c.Mix) {
		op, text, _ := strings.Cut(word, ":")
		var share float64
		fmt.Sscanf(text, "%g", &share) // the table is tested
		switch op {
		case "get", "gets":
			reads += share
		case "delete":
			deletes += share
		default:
			writes += share
		}
	}
	sum := reads + writes + deletes
	return reads / sum, writes / sum, deletes / sum
}

// TTLMix is the distribution of the TTLs, in seconds.
func (c Cluster) TTLMix() (Mix, error) {
	return ParseMix(c.TTLs, Seconds, 1, math.MaxInt32)
}

// Seconds reads a time, as 90s, 2h or 1.5d, as seconds.
func Seconds(s string) (float64, error) {
	day := 1.0
	if n, ok := strings.CutSuffix(s, "d"); ok {
		s, day = n+"h", 24
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("%q is no time: write it as 90s, 2h or 1.5d", s)
	}
	return d.Seconds() * day, nil
}
