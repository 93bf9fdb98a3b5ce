package node

import (
	"context"
	"crypto/tls"
	"net"

	"github.com/fenfa/fenfa/internal/certs"
	"github.com/fenfa/fenfa/internal/config"
)

// openCertificates reads the certificates of the ports that have one.
func (n *Node) openCertificates(context.Context) error {
	c := &n.opts.Config
	var err error
	if n.grpcCert, err = n.openCertificate("grpc", &c.GRPC.TLS, "h2"); err != nil {
		return err
	}
	if n.httpCert, err = n.openCertificate("http", &c.HTTP.TLS, "http/1.1"); err != nil && n.grpcCert != nil {
		n.grpcCert.Close()
	}
	return err
}

func (n *Node) openCertificate(port string, c *config.ListenerTLS, protocol string) (*certs.Keeper, error) {
	if c.Cert == "" {
		return nil, nil //nolint:nilnil // No certificate is a good answer: the port is not encrypted.
	}
	least := uint16(tls.VersionTLS13)
	if c.MinVersion == "1.2" {
		least = tls.VersionTLS12
	}
	k, err := certs.Open(certs.Config{
		Listener: port, Cert: c.Cert, Key: c.Key, ClientCA: c.ClientCA, MinVersion: least, Protocols: []string{protocol},
		Clock: n.opts.Clock, Logger: n.log, Registerer: n.registry,
	})
	if err != nil {
		return nil, tlsError(port+".tls.cert", err)
	}
	return k, nil
}

func (n *Node) closeCertificates(context.Context) error {
	for _, k := range []*certs.Keeper{n.grpcCert, n.httpCert} {
		if k != nil {
			k.Close()
		}
	}
	return nil
}

// tlsOf is nil where there is no certificate.
func tlsOf(k *certs.Keeper) *tls.Config {
	if k == nil {
		return nil
	}
	return k.TLS()
}

// encrypted is the listener of HTTP as it is served before the server is there.
func (n *Node) encrypted(l net.Listener) net.Listener {
	if n.httpCert == nil {
		return l
	}
	return tls.NewListener(l, n.httpCert.TLS())
}
