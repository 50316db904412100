package discovery

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/memherd/memherd/ring"
)

// LineError is what is wrong with a list of nodes that was written down, and where. It
// is ErrMalformed, and its cause, to errors.Is.
type LineError struct {
	File string // empty if the text came from none
	Line int    // from 1; 0 if it is about the whole
	Err  error
}

// Error says "file:line: what".
func (e *LineError) Error() string {
	at := e.File
	if e.Line > 0 {
		if at == "" {
			at = "line "
		} else {
			at += ":"
		}
		at += strconv.Itoa(e.Line)
	}
	if at == "" {
		return e.Err.Error()
	}
	return at + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *LineError) Unwrap() error { return e.Err }

// written is a node and the line it stands on.
type written struct {
	ring.Node
	line int
}

// Parse reads a list of nodes as File describes it, in either of its forms, and returns
// it in canonical form. The error is a *LineError, or ErrEmpty for a list of none.
func Parse(text []byte) ([]ring.Node, error) {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	read := parseLines
	if looksLikeJSON(text) {
		read = parseJSON
	}
	entries, err := read(text)
	if err != nil {
		return nil, err
	}
	nodes := make([]ring.Node, len(entries))
	for i, e := range entries {
		nodes[i] = e.Node
	}
	list, at, err := checkList(nodes)
	switch {
	case errors.Is(err, ErrEmpty):
		return nil, err
	case err == nil:
		return list, nil
	case at < 0:
		return nil, &LineError{Err: err}
	}
	return nil, &LineError{Line: entries[at].line, Err: err}
}

// looksLikeJSON tells a JSON list from a line that begins with an IPv6 address.
func looksLikeJSON(text []byte) bool {
	text = bytes.TrimSpace(text)
	if len(text) == 0 || text[0] != '[' {
		return len(text) > 0 && text[0] == '{'
	}
	rest := bytes.TrimSpace(text[1:])
	return len(rest) == 0 || strings.IndexByte(`"{]`, rest[0]) >= 0
}

// parseLines reads one node a line: an address and what else there is to say of it.
func parseLines(text []byte) ([]written, error) {
	var out []written
	for i, line := range strings.Split(string(text), "\n") {
		words := strings.Fields(line)
		for j, w := range words {
			if w[0] == '#' {
				words = words[:j]
				break
			}
		}
		if len(words) == 0 {
			continue
		}
		n, err := parseWords(words)
		if err != nil {
			return nil, &LineError{Line: i + 1, Err: err}
		}
		out = append(out, written{n, i + 1})
	}
	return out, nil
}

func parseWords(words []string) (ring.Node, error) {
	n := ring.Node{Addr: words[0]}
	seen := map[string]bool{}
	for _, w := range words[1:] {
		name, value, valued := strings.Cut(w, "=")
		if seen[name] {
			return n, malformed("%q is said twice", name)
		}
		seen[name] = true
		switch {
		case w == "drain":
			n.Drain = true
			continue
		case valued && value == "":
			return n, malformed("%q has no value", w)
		case valued && name == "name":
			n.Name = value
		case valued && name == "zone":
			n.Zone = value
		case valued && name == "weight":
			weight, err := strconv.Atoi(value)
			if err != nil {
				return n, malformed("%w: %q is no whole number in range", ring.ErrBadWeight, value)
			}
			if n.Weight, err = checkWeight(weight); err != nil {
				return n, err
			}
		default:
			return n, malformed("%q is none of name=…, weight=…, zone=…, drain; a line has one node", w)
		}
	}
	return n, nil
}

// checkWeight refuses the zero that is written down. A ring takes it for 1, but whoever
// writes it means a node that takes no keys.
func checkWeight(weight int) (int, error) {
	if weight == 0 {
		return 0, malformed("%w: 0; a node that shall take no keys is drained", ring.ErrBadWeight)
	}
	return weight, nil
}

// entry is an object of the JSON form.
type entry struct {
	Name   string `json:"name"`
	Addr   string `json:"addr"`
	Weight *int   `json:"weight"`
	Zone   string `json:"zone"`
	Drain  bool   `json:"drain"`
}

// parseJSON reads a list of addresses and objects.
func parseJSON(text []byte) ([]written, error) {
	line := func(offset int64) int {
		return 1 + bytes.Count(text[:max(0, min(int(offset), len(text)))], []byte("\n"))
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	fail := func(err error) error {
		at := dec.InputOffset()
		if syn := (*json.SyntaxError)(nil); errors.As(err, &syn) {
			at = max(at, syn.Offset) // which is not always counted from the beginning
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			at, err = int64(len(text)), errors.New("the list ends too soon")
		}
		return &LineError{Line: line(at), Err: malformed("%w", err)}
	}
	if t, err := dec.Token(); err != nil {
		return nil, fail(err)
	} else if t != json.Delim('[') {
		return nil, fail(errors.New("it is no list"))
	}
	var out []written
	for dec.More() {
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return nil, fail(err)
		}
		at := line(dec.InputOffset() - int64(len(raw)))
		n, err := parseElement(raw)
		if err != nil {
			return nil, &LineError{Line: at, Err: err}
		}
		out = append(out, written{n, at})
	}
	if _, err := dec.Token(); err != nil {
		return nil, fail(err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fail(errors.New("something follows the list"))
	}
	return out, nil
}

func parseElement(raw json.RawMessage) (n ring.Node, err error) {
	if raw[0] == '"' {
		if err := json.Unmarshal(raw, &n.Addr); err != nil {
			return n, malformed("%w", err)
		}
		return n, nil
	}
	if raw[0] != '{' {
		return n, malformed("a node is an address or an object, not %.40q", string(raw))
	}
	var e entry
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields() // or a misspelt weight would be no weight
	if err := dec.Decode(&e); err != nil {
		return n, malformed("%w", err)
	}
	n = ring.Node{Name: e.Name, Addr: e.Addr, Zone: e.Zone, Drain: e.Drain}
	if e.Weight != nil {
		if n.Weight, err = checkWeight(*e.Weight); err != nil {
			return n, err
		}
	}
	if n.Name == "" && n.Addr == "" {
		return n, malformed("%w: an object has neither addr nor name", ring.ErrBadAddress)
	}
	return n, nil
}
