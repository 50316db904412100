package nodeserver

import (
	"os"
	"syscall"
	"time"
)

// parking is where a loop waits without keeping a thread and the P that goes with it: in
// Go's poller, which is an epoll set itself and can watch another. A process that does
// more than serve needs that: its other goroutines run on the Ps, and one whose thread
// waits in the kernel is taken away only by the runtime's monitor, up to 10 ms later. Five
// embedded nodes and a client on two processors had a quarter of the throughput.
type parking struct {
	file   *os.File // the loop's epoll set; closes it
	raw    syscall.RawConn
	events []syscall.EpollEvent
	ask    func(fd uintptr) bool // made once
	n      int                   // what it found
}

func newParking(epfd int, events []syscall.EpollEvent) (*parking, error) {
	if err := syscall.SetNonblock(epfd, true); err != nil { // or Go's poller does not take it
		return nil, err
	}
	p := &parking{file: os.NewFile(uintptr(epfd), "epoll"), events: events}
	var err error
	if p.raw, err = p.file.SyscallConn(); err != nil {
		return p, err
	}
	p.ask = func(fd uintptr) bool {
		p.n = sysPoll(int(fd), p.events)
		return p.n > 0
	}
	// Fails where Go's poller does not watch it, and waiting would be spinning.
	return p, p.file.SetReadDeadline(time.Time{})
}

// wait is epoll_wait(2) of as many milliseconds; negative: without end.
func (p *parking) wait(timeout int) int {
	if timeout > 0 {
		p.file.SetReadDeadline(time.Now().Add(time.Duration(timeout) * time.Millisecond))
	}
	p.n = 0
	p.raw.Read(p.ask) // its error says that the time is over: nothing was found
	return p.n
}
