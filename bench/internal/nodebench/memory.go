package nodebench

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// MemoryItems is how many items Memory stores, of 19 B key and 100 B value.
const MemoryItems = 2_000_000

// Memory is how many bytes of resident memory an item costs on a server, process and all:
// the growth of the process of this number while items are stored.
func (s Server) Memory(pid, items int) (perItem float64, err error) {
	before, err := resident(pid)
	if err != nil {
		return 0, err
	}
	if err := s.store(items, func(n int) string { return fmt.Sprintf("key:%015d", n) }, value); err != nil {
		return 0, err
	}
	after, err := resident(pid)
	if err != nil {
		return 0, err
	}
	return float64(after-before) / float64(items), nil
}

// resident reads VmRSS in bytes.
func resident(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("process %d shows no resident memory", pid)
}
