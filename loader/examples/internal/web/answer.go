package web

import (
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"

	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/loader"
)

// most is how large a request's body may be, in bytes.
const most = 1 << 20

// ErrBadRequest: the request's body is not what it should be.
var ErrBadRequest = errors.New("the body is no JSON of this kind, or too large")

// Func answers a request with JSON.
type Func func(r *http.Request) (any, error)

func (f Func) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v, err := f(r)
	answer(w, v, err)
}

// Put makes a handler of what does something with a request's JSON.
func Put[V any](do func(r *http.Request, v V) error) http.Handler {
	return Func(func(r *http.Request) (any, error) {
		v, err := read[V](r)
		if err != nil {
			return nil, err
		}
		return v, do(r, v)
	})
}

func read[V any](r *http.Request) (v V, err error) {
	d := json.NewDecoder(http.MaxBytesReader(nil, r.Body, most))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		return v, errors.Join(ErrBadRequest, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return v, ErrBadRequest
	}
	return v, nil
}

// answer writes v as JSON, or what err means to who asked: not there, asked for wrongly, or not
// to be had now. What went wrong is for the log alone.
func answer(w http.ResponseWriter, v any, err error) {
	status := http.StatusOK
	switch {
	case err == nil:
	case errors.Is(err, loader.ErrNotFound):
		status = http.StatusNotFound
	case errors.Is(err, ErrBadRequest), errors.Is(err, item.ErrMalformedKey):
		status = http.StatusBadRequest
	default:
		log.Printf("503: %v", err)
		status = http.StatusServiceUnavailable
	}
	if err != nil {
		http.Error(w, http.StatusText(status), status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // who does not read its answer has left
}
