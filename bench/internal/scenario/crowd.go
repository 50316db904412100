package scenario

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// crowd is other people's connections to a memcached, all on one of its two threads. With
// their requests in front of it, what lies in a dead connection's buffers is executed
// late: after what comes on a new connection to the other thread.
type crowd struct{ conns []net.Conn }

const (
	crowdSize = 16   // connections that keep the thread busy
	crowdKeys = 4000 // of a request
)

// gather connects. memcached deals connections out to its threads in turns, so every
// other one is left idle.
func gather(addr string) (c *crowd, err error) {
	c = &crowd{}
	for i := range 2 * crowdSize {
		conn, err := net.DialTimeout("tcp", addr, patience)
		if err != nil {
			return nil, errors.Join(err, c.close())
		}
		c.conns = append(c.conns, conn)
		// Its answer shows that the connection has been dealt out.
		err = conn.SetDeadline(time.Now().Add(patience))
		if err == nil {
			_, err = fmt.Fprint(conn, "mn\r\n")
		}
		if err == nil {
			_, err = bufio.NewReaderSize(conn, 16).ReadString('\n')
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("connection %d: %w", i, err), c.close())
		}
	}
	return c, nil
}

// ask sends so many requests on each connection, at most 20, which is how many memcached
// serves before it turns to the next. It does not wait for the answers, which are short.
func (c *crowd) ask(requests int) error {
	one := "get" + strings.Repeat(" x", crowdKeys) + "\r\n"
	all := strings.Repeat(one, requests)
	for i := 0; i < len(c.conns); i += 2 {
		if _, err := fmt.Fprint(c.conns[i], all); err != nil {
			return err
		}
	}
	return nil
}

func (c *crowd) close() error {
	var err error
	for _, conn := range c.conns {
		err = errors.Join(err, conn.Close())
	}
	return err
}
