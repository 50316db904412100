package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"github.com/memherd/memherd/nodeserver"
)

// tlsOptions are -Z and its suboptions, by memcached's names.
type tlsOptions struct {
	on             bool
	chain, key, ca string
	verify         int
	min            uint16
}

// Values of ssl_verify_mode.
const (
	verifyNone = iota
	verifyAsk  // what a client shows is checked; it need not show anything
	verifyRequire
	verifyOnce
)

// minVersion reads ssl_min_version: memcached counts 0 for TLS 1.0 to 3 for TLS 1.3, and
// also takes the name.
func (o *tlsOptions) minVersion(s string) error {
	versions := map[string]uint16{
		"0": tls.VersionTLS10, "1": tls.VersionTLS11, "2": tls.VersionTLS12, "3": tls.VersionTLS13,
		"tlsv1.0": tls.VersionTLS10, "tlsv1.1": tls.VersionTLS11, "tlsv1.2": tls.VersionTLS12, "tlsv1.3": tls.VersionTLS13,
	}
	v, ok := versions[s]
	if !ok {
		return fmt.Errorf("%q: need tlsv1.0, tlsv1.1, tlsv1.2 or tlsv1.3", s)
	}
	o.min = v
	return nil
}

func (o *tlsOptions) validate() error {
	switch {
	case !o.on && o.chain+o.key+o.ca != "":
		return errors.New("option -o: ssl_chain_cert, ssl_key and ssl_ca_cert need -Z")
	case o.on && (o.chain == "" || o.key == ""):
		return errors.New("option -Z: needs -o ssl_chain_cert=FILE,ssl_key=FILE")
	case o.verify != verifyNone && o.ca == "":
		return errors.New("option -o: ssl_verify_mode needs ssl_ca_cert")
	}
	return nil
}

// load reads the files; nil without -Z.
func (o *tlsOptions) load() (*tls.Config, error) {
	if !o.on {
		return nil, nil
	}
	cert, err := tls.LoadX509KeyPair(o.chain, o.key)
	if err != nil {
		return nil, fmt.Errorf("option -Z: ssl_chain_cert and ssl_key: %w", err)
	}
	cfg := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: max(o.min, tls.VersionTLS12)}
	if o.min != 0 {
		cfg.MinVersion = o.min
	}
	if o.ca == "" {
		return cfg, nil
	}
	pem, err := os.ReadFile(o.ca)
	if err != nil {
		return nil, fmt.Errorf("option -o: ssl_ca_cert: %w", err)
	}
	cfg.ClientCAs = x509.NewCertPool()
	if !cfg.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, errors.New("option -o: ssl_ca_cert: the file holds no certificate")
	}
	switch o.verify {
	case verifyAsk:
		cfg.ClientAuth = tls.VerifyClientCertIfGiven
	case verifyRequire, verifyOnce:
		cfg.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return cfg, nil
}

// readUsers reads the file of -Y; nil without.
func readUsers(path string) (nodeserver.Users, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("option -Y: %w", err)
	}
	defer f.Close()
	users, err := nodeserver.ReadUsers(f)
	if err != nil {
		return nil, fmt.Errorf("option -Y: %w", err)
	}
	return users, nil
}
