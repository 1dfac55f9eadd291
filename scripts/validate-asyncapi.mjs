// Validates an AsyncAPI document and everything it refers to. Errors and warnings fail; what is
// only informative (that there is a later version of AsyncAPI) is shown.
// Run by validate-asyncapi.sh, which installs the parser.
import { createRequire } from 'node:module';
import path from 'node:path';

const [modules, file] = process.argv.slice(2);
const require = createRequire(path.join(path.resolve(modules), 'package.json'));
const { Parser, fromFile } = require('@asyncapi/parser');
const { default: Ajv } = require('ajv/dist/2020.js');
const { default: addFormats } = require('ajv-formats');

const { document, diagnostics } = await fromFile(new Parser(), file).parse();
const words = ['error', 'warning', 'information', 'hint'];
for (const { severity, message, path: at } of diagnostics) {
  console.error(`${words[severity]} at ${at.join('.')}: ${message}`);
}
if (!document || diagnostics.some(({ severity }) => severity <= 1)) {
  console.error(`${file}: not valid`);
  process.exit(1);
}
// The parser does not hold a message's examples against its payload.
const ajv = addFormats(new Ajv({ strict: true, strictTypes: false, strictRequired: false }));
ajv.addVocabulary(['x-parser-schema-id', 'x-parser-unique-object-id']);
const messages = document.components().messages().all();
let examples = 0;
let wrong = 0;
for (const message of messages) {
  const matches = ajv.compile(message.payload().json());
  for (const example of message.examples().all()) {
    examples += 1;
    if (!matches(example.payload())) {
      wrong += 1;
      const faults = ajv.errorsText(matches.errors, { dataVar: 'payload' });
      console.error(`error in example ${example.name()} of ${message.name()}: ${faults}`);
    }
  }
}
if (wrong > 0 || examples === 0) {
  console.error(`${file}: ${wrong} of ${examples} examples do not match`);
  process.exit(1);
}
console.log(`${file}: valid, ${messages.length} messages, ${examples} examples`);
