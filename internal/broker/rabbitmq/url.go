package rabbitmq

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/fenfa/fenfa/internal/task"
)

// Ports that are meant where an address names none.
const (
	portPlain = "5672"
	portTLS   = "5671"
)

// ParseURL reads the address of a cluster into a Config that has nothing else
// set: amqp://user:password@host:port,host:port/vhost, or amqps:// for TLS.
// Without a vhost it is "/". Errors never hold what was given.
func ParseURL(address string) (Config, error) {
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok || scheme != "amqp" && scheme != "amqps" {
		return Config{}, errors.New("parse RabbitMQ address: it must begin with amqp:// or amqps://")
	}
	authority, path, _ := strings.Cut(rest, "/")
	if strings.Contains(path, "@") { // A password with a slash would be taken for a host.
		return Config{}, errors.New("parse RabbitMQ address: user, password and vhost must be escaped as in a URL: / is %2F, @ is %40")
	}
	var cfg Config
	hosts := authority
	if at := strings.LastIndex(authority, "@"); at >= 0 {
		if err := cfg.setCredentials(authority[:at]); err != nil {
			return Config{}, err
		}
		hosts = authority[at+1:]
	}
	vhost, err := url.PathUnescape(path)
	if err != nil {
		return Config{}, errors.New("parse RabbitMQ address: the vhost is not escaped as in a URL")
	}
	cfg.VHost = vhost
	port := portPlain
	if scheme == "amqps" {
		port = portTLS
		cfg.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	for host := range strings.SplitSeq(hosts, ",") {
		endpoint, err := withPort(strings.TrimSpace(host), port)
		if err != nil {
			return Config{}, err
		}
		cfg.Endpoints = append(cfg.Endpoints, endpoint)
	}
	return cfg, nil
}

func (c *Config) setCredentials(userinfo string) error {
	user, password, _ := strings.Cut(userinfo, ":")
	var userErr, passwordErr error
	c.User, userErr = url.PathUnescape(user)
	password, passwordErr = url.PathUnescape(password)
	if userErr != nil || passwordErr != nil {
		return errors.New("parse RabbitMQ address: user and password must be escaped as in a URL")
	}
	c.Password = task.Secret(password)
	return nil
}

func withPort(host, port string) (string, error) {
	if name, given, err := net.SplitHostPort(host); err == nil {
		host, port = name, given
	}
	host = strings.Trim(host, "[]")
	if host == "" {
		return "", fmt.Errorf("parse RabbitMQ address: a host is missing")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", errors.New("parse RabbitMQ address: the port of a host is not a number from 1 to 65535; what stands before @ must be escaped as in a URL")
	}
	return net.JoinHostPort(host, port), nil
}
