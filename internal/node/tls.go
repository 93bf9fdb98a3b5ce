package node

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"

	"github.com/fenfa/fenfa/internal/task"
)

// loadTLS reads the PEM files of a section of the settings, those that are given,
// into cfg.
func loadTLS(cfg *tls.Config, section, ca, cert, key string) error {
	if ca != "" {
		pem, err := os.ReadFile(ca) //nolint:gosec // The file is whichever the operator names.
		if err != nil {
			return tlsError(section+".ca", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return tlsError(section+".ca", fmt.Errorf("%s holds no certificate in PEM form", ca))
		}
	}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return tlsError(section+".cert", err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return nil
}

func tlsError(setting string, err error) error {
	return task.Errorf(task.CodeFailedPrecondition, "%s cannot be used: %w", setting, err).WithField(setting)
}
