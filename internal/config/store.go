package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/fenfa/fenfa/internal/spell"
)

// Schemes of databases.
const (
	SchemeMySQL  = "mysql"
	SchemeMySQLS = "mysqls"
)

const wantStoreURL = "want mysql://user:password@host:3306/database, or mysqls:// with TLS, one for each shard, separated by commas" //nolint:gosec // It shows the form of an address.

func (s *Store) checkURL() error {
	if s.URL == "" {
		return nil
	}
	for _, u := range s.URL.List() {
		switch scheme := u.Scheme(); scheme {
		case SchemeMySQL, SchemeMySQLS:
		case "":
			// What was given is not repeated: it may hold a password.
			return errors.New("it has no scheme: " + wantStoreURL)
		default:
			known := []string{SchemeMySQL, SchemeMySQLS}
			hint := ""
			if near, ok := spell.Nearest(scheme, known); ok {
				hint = fmt.Sprintf(": did you mean %q?", near)
			}
			return fmt.Errorf("no store is known by the scheme %q; want one of %s%s", scheme, strings.Join(known, ", "), hint)
		}
		if !u.isWhole() {
			return errors.New("it names no database: " + wantStoreURL)
		}
	}
	return nil
}

func (s *Store) checkTLS() error {
	return check((s.TLS.Cert == "") == (s.TLS.Key == ""), "store.tls.cert and store.tls.key go together: give both, or none")
}

func (s *Store) checkTLSIsUsed() error {
	used := false
	for _, u := range s.URL.List() {
		used = used || u.Scheme() == SchemeMySQLS
	}
	return check(s.TLS == StoreTLS{} || used, "it is for addresses that begin with mysqls://, of which store.url has none")
}
