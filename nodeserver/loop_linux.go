package nodeserver

import (
	"runtime"
	"sync"
	"syscall"
	"time"
)

// loops are a server's epoll loops. They start with the first connection that is theirs.
type loops struct {
	srv     *Server
	n       int  // how many; 0 or less: none, every connection has a goroutine
	threads bool // each has a thread of its own

	// mu guards all.
	mu  sync.Mutex
	all []*loop
}

// loop is one epoll set and the goroutine that serves what is in it. The goroutine may
// change: see seat.letGo. The fields without a comment are its alone.
type loop struct {
	srv  *Server
	epfd int
	bell int      // an eventfd: rings when the server stops
	park *parking // where a loop without a thread of its own waits

	events []syscall.EpollEvent
	ready  []*seat // what this turn has to look at; ready[:next] is done
	next   int
	again  []*seat // what had more to say than one turn may take
	in     []byte  // lent to the connection that is being served
	out    []byte
	swept  time.Time // when silent connections were last looked for

	// mu guards the fields below.
	mu    sync.Mutex
	seats []*seat // by file descriptor
	count int
	ended bool // takes no more connections
}

const (
	// turnEvents is how many connections a loop asks for at once, and turnReads how often
	// it reads from one of them before it looks at the others.
	turnEvents = 256
	turnReads  = 8
	idleSweep  = time.Second // the longest time between two looks for silent connections
)

func (ls *loops) init(s *Server) {
	ls.srv, ls.n, ls.threads = s, s.cfg.Loops, true
	if ls.n == 0 {
		ls.n, ls.threads = runtime.GOMAXPROCS(0), false
	}
	if s.cfg.Intercept != nil {
		ls.n = 0 // whatever it waits for, it must not keep other connections waiting
	}
}

// least is the loop with the fewest connections; nil means that there can be none.
func (ls *loops) least() *loop {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for len(ls.all) < ls.n {
		l, err := newLoop(ls.srv, ls.threads)
		if err != nil {
			if len(ls.all) == 0 {
				return nil
			}
			break
		}
		ls.all = append(ls.all, l)
		// The caller is counted itself, so a Close that waits goes on waiting.
		ls.srv.wg.Add(1)
		go l.run()
	}
	best, fewest := ls.all[0], ls.all[0].size()
	for _, l := range ls.all[1:] {
		if n := l.size(); n < fewest {
			best, fewest = l, n
		}
	}
	return best
}

// wake has all loops see that the server stops.
func (ls *loops) wake() {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for _, l := range ls.all {
		l.ring()
	}
}

func newLoop(s *Server, thread bool) (*loop, error) {
	epfd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	bell, _, errno := syscall.RawSyscall(syscall.SYS_EVENTFD2, 0, syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
	if errno != 0 {
		syscall.Close(epfd)
		return nil, errno
	}
	l := &loop{srv: s, epfd: epfd, bell: int(bell), events: make([]syscall.EpollEvent, turnEvents)}
	if !thread {
		if l.park, err = newParking(epfd, l.events); err != nil {
			l.close()
			return nil, err
		}
	}
	ev := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(bell)}
	if err := syscall.EpollCtl(epfd, syscall.EPOLL_CTL_ADD, l.bell, &ev); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *loop) size() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count
}

// ring wakes the loop for good: nobody reads the bell, so it goes on ringing until the
// loop has ended.
func (l *loop) ring() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.bell >= 0 {
		sysWrite(l.bell, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	}
}

func (l *loop) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	syscall.Close(l.bell)
	if l.park != nil {
		l.park.file.Close()
	} else {
		syscall.Close(l.epfd)
	}
	l.bell, l.epfd = -1, -1
}

const epollET = 1 << 31 // syscall.EPOLLET is negative

// enter puts s into the loop's table and the set.
func (l *loop) enter(s *seat) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return false
	}
	for len(l.seats) <= s.fd {
		l.seats = append(l.seats, make([]*seat, max(64, len(l.seats)))...)
	}
	ev := syscall.EpollEvent{Events: syscall.EPOLLIN | syscall.EPOLLRDHUP | epollET, Fd: int32(s.fd)}
	if syscall.EpollCtl(l.epfd, syscall.EPOLL_CTL_ADD, s.fd, &ev) != nil {
		return false
	}
	l.seats[s.fd] = s
	l.count++
	return true
}

// remove takes s out of the table and the set.
func (l *loop) remove(s *seat) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seats[s.fd] == s {
		l.seats[s.fd] = nil
		l.count--
		syscall.EpollCtl(l.epfd, syscall.EPOLL_CTL_DEL, s.fd, nil)
	}
}

// run serves the loop until the server has stopped, or this goroutine has gone over to a
// connection that left.
func (l *loop) run() {
	defer l.srv.wg.Done()
	if l.park == nil {
		// A thread of its own: measured, it saves a tenth of the processor time.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
	}
	for {
		for l.next < len(l.ready) {
			s := l.ready[l.next]
			l.ready[l.next] = nil
			l.next++
			if !l.serve(s, turnReads) {
				return
			}
		}
		select {
		case <-l.srv.done:
			if !l.last() {
				return
			}
			l.close()
			return
		default:
		}
		l.wait()
	}
}

// wait asks the kernel who has something to say.
func (l *loop) wait() {
	l.ready, l.next = append(l.ready[:0], l.again...), 0
	clear(l.again)
	l.again = l.again[:0]
	timeout := -1
	if idle := l.srv.cfg.IdleTimeout; idle > 0 {
		timeout = int(max(min(idle/2, idleSweep)/time.Millisecond, 1))
	}
	if len(l.ready) > 0 {
		timeout = 0
	}
	n := l.poll(timeout)
	l.mu.Lock()
	for i := range n {
		e := &l.events[i]
		if s := l.seatOf(int(e.Fd)); s != nil {
			if e.Events&(syscall.EPOLLRDHUP|syscall.EPOLLHUP|syscall.EPOLLERR) != 0 {
				s.hup = true
			}
			l.ready = append(l.ready, s)
		}
	}
	l.mu.Unlock()
	if timeout > 0 {
		l.sweep()
	}
}

// poll asks, and waits for so many milliseconds; negative: until somebody has something
// to say.
func (l *loop) poll(timeout int) int {
	if l.park != nil && timeout != 0 {
		return l.park.wait(timeout)
	}
	// Under load somebody has always something to say. Only who waits tells the scheduler.
	n := sysPoll(l.epfd, l.events)
	if n == 0 && timeout != 0 {
		n, _ = syscall.EpollWait(l.epfd, l.events, timeout) // EINTR: n is -1
	}
	return n
}

// seatOf is called with l.mu held.
func (l *loop) seatOf(fd int) *seat {
	if fd >= len(l.seats) {
		return nil
	}
	return l.seats[fd]
}

// sweep ends connections that have been silent for the IdleTimeout.
func (l *loop) sweep() {
	now, idle := time.Now(), l.srv.cfg.IdleTimeout
	if now.Sub(l.swept) < min(idle/2, idleSweep) {
		return
	}
	l.swept = now
	for _, s := range l.all() {
		if s.last.IsZero() {
			s.last = now // since it was let in, about
		} else if now.Sub(s.last) >= idle {
			s.c.abort()
		}
	}
}

func (l *loop) all() (list []*seat) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.seats {
		if s != nil {
			list = append(list, s)
		}
	}
	return list
}

// last answers what has arrived by the time the server stops and ends all connections.
// False: one of them has taken this goroutine.
func (l *loop) last() bool {
	l.mu.Lock()
	l.ended = true
	l.mu.Unlock()
	for _, s := range l.all() {
		if !l.serve(s, 1) {
			return false
		}
		for s.c.more && s.c.host == s {
			if !l.serve(s, 1) {
				return false
			}
		}
		if !l.end(s) {
			return false
		}
	}
	return true
}
