// A client of the authority's own API: it issues a key, verifies it, revokes it, verifies it again, and asks
// for one that is not there. Nothing is generated: the descriptor set has all that it needs.
//
// node grpc_client.js DESCRIPTOR_SET ADDRESS WORKSPACE, with the token in TOKEN. Prints one JSON document.
import { readFileSync } from "node:fs";
import { promisify } from "node:util";

import grpc from "@grpc/grpc-js";
import loader from "@grpc/proto-loader";

const [descriptorSet, address, workspace] = process.argv.slice(2);
const definition = loader.loadFileDescriptorSetFromBuffer(readFileSync(descriptorSet), {
  enums: String,
  longs: String,
});
const { KeyService, VerificationService } = grpc.loadPackageDefinition(definition).keyauthority.v1;

const metadata = new grpc.Metadata();
metadata.set("authorization", `Bearer ${process.env.TOKEN}`);

function client(Service) {
  const stub = new Service(address, grpc.credentials.createInsecure());
  const call = (method) => (request) =>
    promisify(stub[method].bind(stub))(request, metadata, { deadline: Date.now() + 10_000 });
  return { call, close: () => stub.close() };
}

// protobufjs shows a map that it knows from a descriptor set as a list of its entries.
const entries = (map) => Object.entries(map).map(([key, value]) => ({ key, value }));
const map = (list) => Object.fromEntries(list.map(({ key, value }) => [key, value]));

// The one google.rpc.ErrorInfo that every error of the authority carries.
function errorInfo(error) {
  const [bytes] = error.metadata.get("grpc-status-details-bin");
  const { details } = definition["google.rpc.Status"].deserialize(bytes);
  const info = details.find(({ type_url }) => type_url.endsWith("/google.rpc.ErrorInfo"));
  return definition["google.rpc.ErrorInfo"].deserialize(info.value);
}

const keys = client(KeyService);
const verification = client(VerificationService);

const { key, secret } = await keys.call("IssueKey")({
  workspace_id: workspace,
  name: "from node",
  labels: entries({ team: "search" }),
});
const before = await verification.call("Verify")({ secret });
const revoked = await keys.call("RevokeKey")({ key_id: key.id });
const after = await verification.call("Verify")({ secret });
const refusal = await keys
  .call("GetKey")({ key_id: "key_0123456789ABCDEF" })
  .catch((error) => ({ status: grpc.status[error.code], ...errorInfo(error) }));

console.log(
  JSON.stringify({
    key: key.id,
    before: {
      verdict: before.verdict,
      key: before.key.id,
      workspace: before.key.workspace_id,
      labels: map(before.key.labels),
    },
    state: revoked.key.state,
    after: after.verdict,
    refusal: {
      status: refusal.status,
      reason: refusal.reason,
      domain: refusal.domain,
      metadata: map(refusal.metadata),
    },
  }),
);
keys.close();
verification.close();
