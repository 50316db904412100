// Package cputime reads how much CPU time processes have used.
package cputime

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Of is the CPU time that the processes of these numbers have used together. It is an
// error where the system has no /proc, or a process is gone.
func Of(pids ...int) (time.Duration, error) { return of("/proc", pids) }

func of(proc string, pids []int) (sum time.Duration, err error) {
	for _, pid := range pids {
		dir := filepath.Join(proc, strconv.Itoa(pid))
		// The scheduler counts nanoseconds, stat only hundredths of a second; but not
		// every kernel is built to show them, and they are per thread.
		d, err := threads(dir)
		if err != nil {
			d, err = ticks(dir)
		}
		if err != nil {
			return 0, err
		}
		sum += d
	}
	return sum, nil
}

// threads adds up the schedstat of a process's threads. Servers keep theirs, so none
// that has ended is missing.
func threads(dir string) (sum time.Duration, err error) {
	tasks, err := os.ReadDir(filepath.Join(dir, "task"))
	if err != nil {
		return 0, err
	}
	for _, t := range tasks {
		text, err := os.ReadFile(filepath.Join(dir, "task", t.Name(), "schedstat"))
		if err != nil {
			return 0, err
		}
		first, _, _ := strings.Cut(string(text), " ")
		ns, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("unreadable schedstat: %w", err)
		}
		sum += time.Duration(ns)
	}
	if sum == 0 {
		return 0, errors.New("the scheduler does not count")
	}
	return sum, nil
}

// tick is the unit of stat: USER_HZ is 100 on every Linux that Go runs on.
const tick = time.Second / 100

// ticks reads utime and stime, fields 14 and 15 of stat. The second field, the
// command in parentheses, may hold blanks and parentheses itself.
func ticks(dir string) (time.Duration, error) {
	text, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return 0, err
	}
	f := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(f) < 13 {
		return 0, errors.New("unreadable stat: too few fields")
	}
	user, err1 := strconv.ParseInt(f[11], 10, 64)
	system, err2 := strconv.ParseInt(f[12], 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		return 0, fmt.Errorf("unreadable stat: %w", err)
	}
	return time.Duration(user+system) * tick, nil
}

// Reader is Of these processes as a function to call again and again; nil where the
// system does not say.
func Reader(pids ...int) func() (time.Duration, error) {
	if _, err := Of(pids...); err != nil {
		return nil
	}
	return func() (time.Duration, error) { return Of(pids...) }
}
