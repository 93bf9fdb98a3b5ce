package main

import (
	"strings"

	"github.com/fenfa/fenfa/internal/config"
)

// storeFlag says in which store a demo or a benchmark keeps its state: embedded,
// mysql, or mysql=ADDRESS,...
type storeFlag struct {
	mysql bool
	given config.URL
	wrong bool
}

const (
	storeEmbedded = "embedded"
	storeMySQL    = "mysql"
)

// Set implements pflag.Value. It takes everything: the flag library would repeat
// what it refuses, and an address may hold a password. Check refuses.
func (s *storeFlag) Set(text string) error {
	name, addresses, _ := strings.Cut(text, "=")
	*s = storeFlag{mysql: name == storeMySQL, given: config.URL(addresses)}
	s.wrong = !s.mysql && (name != storeEmbedded || addresses != "")
	if addresses != "" {
		for _, u := range s.given.List() {
			s.wrong = s.wrong || u.Scheme() != config.SchemeMySQL
		}
	}
	return nil
}

// check refuses what is no store.
func (s *storeFlag) check() error {
	if s.wrong {
		return usagef("--store names no store that is known").withHint("want embedded, mysql, or mysql=mysql://user:password@host:3306/database")
	}
	return nil
}

// String implements pflag.Value, without a password.
func (s *storeFlag) String() string {
	switch {
	case !s.mysql:
		return storeEmbedded
	case s.given == "":
		return storeMySQL
	default:
		return storeMySQL + "=" + s.given.String()
	}
}

// Type implements pflag.Value.
func (*storeFlag) Type() string { return "string" }

// addresses returns the databases that were named, here or in the environment;
// none: a private server is wanted.
func (s *storeFlag) addresses(getenv func(string) string) []string {
	if !s.mysql {
		return nil
	}
	url := s.given
	if url == "" {
		url = config.URL(getenv("FENFA_STORE_URL"))
	}
	if url == "" {
		return nil
	}
	var list []string
	for _, u := range url.List() {
		list = append(list, u.Reveal())
	}
	return list
}
