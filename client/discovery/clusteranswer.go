package discovery

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"

	"github.com/memherd/memherd/ring"
)

// Limits of what an endpoint may answer. A node takes some 100 bytes.
const (
	maxLine   = 512     // of the answer's own lines
	maxConfig = 4 << 20 // of the list
)

// oldKey is where ElastiCache kept the list before it had a command for it.
const oldKey = "AmazonElastiCache:cluster"

// errPlain: the server does not know the command, or has nothing under the old key.
var errPlain = errors.New("the server keeps no list of nodes; is it plain memcached?")

// answer is one list of nodes.
type answer struct {
	version uint64
	nodes   []ring.Node // canonical, in the order given
}

// readAnswer reads the answer to either command:
//
//	CONFIG cluster 0 <bytes>\r\n      (or VALUE AmazonElastiCache:cluster 0 <bytes>)
//	<version>\n
//	host|ip|port host|ip|port ...\n
//	\r\n
//	END\r\n
func readAnswer(r *bufio.Reader) (answer, error) {
	head, err := readLine(r)
	if err != nil {
		return answer{}, err
	}
	words := strings.Split(head, " ")
	switch {
	case head == "ERROR" || head == "END":
		return answer{}, errPlain
	case strings.HasSuffix(words[0], "_ERROR"):
		return answer{}, errors.New("the server says " + strconv.Quote(head))
	case len(words) != 4 || !(words[0] == "CONFIG" && words[1] == "cluster" || words[0] == "VALUE" && words[1] == oldKey):
		return answer{}, malformed("the answer begins %.60q", head)
	}
	if _, err := strconv.ParseUint(words[2], 10, 32); err != nil {
		return answer{}, malformed("the answer's flags are %.60q", words[2])
	}
	size, err := strconv.ParseUint(words[3], 10, 63)
	if err != nil {
		return answer{}, malformed("the answer's length is %.60q", words[3])
	}
	if size > maxConfig {
		return answer{}, malformed("the answer has %d bytes, more than %d", size, maxConfig)
	}
	// Read as it comes: a length that is announced alone allocates nothing.
	text, err := io.ReadAll(io.LimitReader(r, int64(size)))
	if err == nil && uint64(len(text)) < size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return answer{}, err
	}
	for _, want := range []string{"", "END"} {
		line, err := readLine(r)
		if err != nil {
			return answer{}, err
		}
		if line != want {
			return answer{}, malformed("the answer ends with %.60q instead of %q", line, want)
		}
	}
	return parseConfig(string(text))
}

// readLine reads up to "\r\n" or, as some proxies have it, "\n".
func readLine(r *bufio.Reader) (string, error) {
	line, err := r.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return "", malformed("a line of the answer has more than %d bytes", r.Size())
	case errors.Is(err, io.EOF):
		return "", io.ErrUnexpectedEOF
	case err != nil:
		return "", err
	}
	return strings.TrimSuffix(string(line[:len(line)-1]), "\r"), nil
}

// parseConfig reads the list itself. A list without nodes is one: the follower keeps what
// it has.
func parseConfig(text string) (answer, error) {
	version, rest, _ := strings.Cut(text, "\n")
	v, err := strconv.ParseUint(strings.TrimSuffix(version, "\r"), 10, 64)
	if err != nil {
		return answer{}, malformed("the version is %.60q", version)
	}
	line, rest, _ := strings.Cut(rest, "\n")
	if strings.TrimSpace(rest) != "" {
		return answer{}, malformed("%.60q follows the nodes", rest)
	}
	var nodes []ring.Node
	for _, word := range strings.Fields(line) {
		n, err := parseTriple(word)
		if err != nil {
			return answer{}, err
		}
		nodes = append(nodes, n)
	}
	if len(nodes) == 0 {
		return answer{version: v}, nil
	}
	list, _, err := checkList(nodes)
	return answer{version: v, nodes: list}, err
}

// parseTriple reads "host|ip|port", of which one of the first two may be empty.
func parseTriple(word string) (ring.Node, error) {
	fields := strings.Split(word, "|")
	if len(fields) != 3 {
		return ring.Node{}, malformed("%.300q is not host|ip|port", word)
	}
	host := strings.TrimSuffix(fields[0], ".")
	if host == "" {
		host = fields[1]
	}
	if port, err := strconv.ParseUint(fields[2], 10, 16); err != nil || port == 0 || host == "" {
		return ring.Node{}, malformed("%.300q has no host or no port", word)
	}
	return ring.Node{Addr: net.JoinHostPort(host, fields[2])}, nil
}
