package mysql

import (
	"errors"
	"net"
	"net/url"
	"strings"

	"github.com/fenfa/fenfa/internal/task"
)

// Address says where one shard is.
type Address struct {
	User     string
	Password task.Secret
	Hosts    []string // host:port; several of one shard are tried in order
	Database string
	TLS      bool
}

const defaultPort = "3306"

// Schemes of addresses.
const (
	SchemePlain = "mysql"
	SchemeTLS   = "mysqls"
)

// ParseAddress reads the address of a shard:
// mysql://user:password@host:port,host:port/database, or mysqls:// for TLS. Errors
// never hold what was given.
func ParseAddress(s string) (Address, error) {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok || scheme != SchemePlain && scheme != SchemeTLS {
		return Address{}, errors.New("it must begin with mysql:// or mysqls://")
	}
	a := Address{TLS: scheme == SchemeTLS}
	authority, path, _ := strings.Cut(rest, "/")
	hosts := authority
	if at := strings.LastIndex(authority, "@"); at >= 0 {
		hosts = authority[at+1:]
		user, password, _ := strings.Cut(authority[:at], ":")
		var userErr, passwordErr error
		a.User, userErr = url.PathUnescape(user)
		password, passwordErr = url.PathUnescape(password)
		if userErr != nil || passwordErr != nil {
			return Address{}, errors.New("user and password must be escaped as in a URL")
		}
		a.Password = task.Secret(password)
	}
	var err error
	if a.Database, err = url.PathUnescape(path); err != nil || a.Database == "" || strings.ContainsAny(a.Database, "/?") {
		return Address{}, errors.New("it must end with the name of a database, like /fenfa, and nothing behind it")
	}
	for host := range strings.SplitSeq(hosts, ",") {
		endpoint, err := withPort(strings.TrimSpace(host))
		if err != nil {
			return Address{}, err
		}
		a.Hosts = append(a.Hosts, endpoint)
	}
	return a, nil
}

func withPort(host string) (string, error) {
	port := defaultPort
	if name, given, err := net.SplitHostPort(host); err == nil {
		host, port = name, given
	}
	if host = strings.Trim(host, "[]"); host == "" {
		return "", errors.New("a host is missing")
	}
	return net.JoinHostPort(host, port), nil
}

// String returns the address without user and password.
func (a Address) String() string { return strings.Join(a.Hosts, ",") + "/" + a.Database }
