// Tests of what the gateway does not do yet: `file`, or `file: name of a test or a suite`. They run and
// their failures are printed, but do not fail the run. One that passes must be taken off, or the run fails.
export const PENDING = [
  'connect',
  'credentials',
  'dpop',
  'introspection',
  'jwks: keys at a discovered address',
  'pages',
];
