package metrics

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/observe/timing"
	"github.com/memherd/memherd/hotkey"
)

// MaxLoaders bounds Source.Loaders, and with it how many series there may be.
const MaxLoaders = 100

// Source is what is observed. Client is required.
type Source struct {
	Client *client.Client
	// Timing, if set, is the timed client over Client; without it there are no latencies.
	Timing *timing.Client
	// Loaders are the loaders by the name that is to stand in the label "loader": each value returns a
	// loader's counters, as in
	//
	//	"users": func() any { return users.Counters() }
	//
	// The numbers in the struct, and in structs in it, become metrics: see Fields. At most 100.
	Loaders map[string]func() any
}

// Check returns an error that names the field if something is missing.
func (s Source) Check() error {
	if s.Client == nil {
		return errors.New("observe: Source.Client is missing")
	}
	if s.Timing != nil && s.Timing.Client != s.Client {
		return errors.New("observe: Source.Timing is over another client than Source.Client")
	}
	if len(s.Loaders) > MaxLoaders {
		return fmt.Errorf("observe: Source.Loaders has %d loaders, and %d are the most", len(s.Loaders), MaxLoaders)
	}
	for name, counters := range s.Loaders {
		if !utf8.ValidString(name) {
			return fmt.Errorf("observe: Source.Loaders[%q]: the name is not valid UTF-8, as a label has to be", name)
		}
		if counters == nil {
			return fmt.Errorf("observe: Source.Loaders[%q] is nil", name)
		}
		if t := reflect.TypeOf(counters()); t == nil || t.Kind() != reflect.Struct {
			return fmt.Errorf("observe: Source.Loaders[%q] returns no struct of counters", name)
		}
	}
	return nil
}

// Reading is what a Source said at one moment.
type Reading struct {
	Counters client.Counters
	Nodes    []client.Status
	Near     hotkey.NearStats
	Latency  map[timing.Op]timing.Latency
	Loaders  map[string][]Field
}

// Read asks s for everything. It may be called concurrently, and does no I/O.
func (s Source) Read() *Reading {
	r := &Reading{
		Counters: s.Client.Counters(), Nodes: s.Client.Nodes(), Near: s.Client.NearStats(),
		Latency: map[timing.Op]timing.Latency{}, Loaders: map[string][]Field{},
	}
	if s.Timing != nil {
		for _, op := range timing.Ops() {
			r.Latency[op] = s.Timing.Latency(op)
		}
	}
	for name, counters := range s.Loaders {
		r.Loaders[name] = Fields(counters())
	}
	return r
}

// Field is one counter of a struct.
type Field struct {
	Name  string // in words joined by "_", those of the structs around it first
	Value uint64
	Level bool // it is no count
}

// Fields are the counts (uint64) and levels (int, and LoadLimit) of a struct and of the structs in it, in
// their order.
func Fields(counters any) []Field {
	return appendFields(nil, "", reflect.ValueOf(counters))
}

func appendFields(fields []Field, prefix string, v reflect.Value) []Field {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if !f.IsExported() {
			continue
		}
		name := prefix + words(f.Name)
		switch f.Type.Kind() {
		case reflect.Struct:
			fields = appendFields(fields, name+"_", v.Field(i))
		case reflect.Uint64:
			fields = append(fields, Field{name, v.Field(i).Uint(), f.Name == "LoadLimit"})
		case reflect.Int:
			fields = append(fields, Field{name, uint64(max(0, v.Field(i).Int())), true})
		}
	}
	return fields
}

// words turns NodeHits into node_hits.
func words(name string) string {
	var b strings.Builder
	for i, r := range name {
		if unicode.IsUpper(r) && i > 0 && !unicode.IsUpper(rune(name[i-1])) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
