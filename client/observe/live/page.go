package live

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"strings"
)

var (
	//go:embed page.html
	pageHTML string
	//go:embed page.css
	pageCSS string
	//go:embed page.js
	pageJS string
)

// page is all of it in one document.
var page = []byte(strings.NewReplacer("{{css}}", pageCSS, "{{js}}", pageJS).Replace(pageHTML))

// policy lets the page's own script run and no other, and nothing be fetched from elsewhere.
var policy = "default-src 'none'; connect-src 'self'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; script-src 'sha256-" + scriptHash() + "'"

func scriptHash() string {
	sum := sha256.Sum256([]byte(pageJS))
	return base64.StdEncoding.EncodeToString(sum[:])
}
