// Certificates made for one test, by an authority made for it.

import { execFileSync } from 'node:child_process';
import path from 'node:path';

/** Runs openssl in `folder`, without whatever the system's configuration adds. */
const openssl = (folder, ...args) => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe', env: { PATH: process.env.PATH, OPENSSL_CONF: '/dev/null' } });
const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];

/** An authority of our own in `folder`, called `file`. */
export function authority(folder, file) {
  openssl(folder, 'req', '-x509', ...NEW_KEY, '-subj', `/CN=${file}`, '-addext', 'basicConstraints=critical,CA:TRUE', '-keyout', `${file}.key`, '-out', `${file}.crt`);
  return path.join(folder, `${file}.crt`);
}

/** A certificate for the host `name`, vouched for by the authority called `by`. */
export function certificate(folder, name, by) {
  const extensions = ['-addext', 'basicConstraints=critical,CA:FALSE', '-addext', `subjectAltName=DNS:${name}`];
  openssl(folder, 'req', '-x509', ...NEW_KEY, '-subj', `/CN=${name}`, ...extensions, '-CA', `${by}.crt`, '-CAkey', `${by}.key`, '-keyout', `${name}.key`, '-out', `${name}.crt`);
  return { cert: path.join(folder, `${name}.crt`), key: path.join(folder, `${name}.key`) };
}
