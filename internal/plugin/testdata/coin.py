#!/usr/bin/python3
"""A plug-in factor in Python: "heads" is right. It speaks the protocol of
plugin/factorpb/factor.proto and go-plugin's handshake with nothing but grpcio."""

import base64
import os
import signal
import ssl
import subprocess
import sys
import tempfile
from concurrent import futures

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import factor_pb2 as pb  # made by protoc from factor.proto
import grpc


class Coin:
    def describe(self, request, context):
        return pb.DescribeResponse(name="coin.py", version="1")

    def begin(self, request, context):
        texts = {"de": "Kopf oder Zahl?"}
        q = pb.Question(state=b"thrown", seconds=60)
        q.prompt.text = texts.get(request.language, "Heads or tails?")
        q.prompt.choice.options.add(id="heads", label="Heads")
        q.prompt.choice.options.add(id="tails", label="Tails")
        return q

    def check(self, request, context):
        if request.state != b"thrown":
            context.abort(grpc.StatusCode.OUT_OF_RANGE, "nothing was thrown")
        if request.answer != "heads":
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "tails")
        if request.purpose == pb.PURPOSE_ENROL:
            return pb.Verdict(enrolled=pb.NewRecord(body=b"coin"))
        return pb.Verdict(right=pb.Right(record=request.records[0].id))


def certificate():
    """A key and a certificate for localhost, made anew for each start."""
    with tempfile.TemporaryDirectory() as dir:
        key, cert = os.path.join(dir, "key"), os.path.join(dir, "cert")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                        "-nodes", "-keyout", key, "-out", cert, "-days", "365", "-subj", "/CN=localhost",
                        "-addext", "subjectAltName=DNS:localhost"], check=True, stderr=subprocess.DEVNULL)
        with open(key, "rb") as k, open(cert, "rb") as c:
            return k.read(), c.read()


def serve():
    if os.environ.get("POSTERN_FACTOR") != "postern-factor-v1":
        sys.exit("coin.py is a plug-in of Postern's webhook, which starts it")
    coin = Coin()
    method = lambda f, request: grpc.unary_unary_rpc_method_handler(
        f, request_deserializer=request.FromString, response_serializer=lambda m: m.SerializeToString())
    handlers = grpc.method_handlers_generic_handler("postern.factor.v1.Factor", {
        "Describe": method(coin.describe, pb.DescribeRequest),
        "Begin": method(coin.begin, pb.Request),
        "Check": method(coin.check, pb.Request),
    })
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
    server.add_generic_rpc_handlers((handlers,))
    key, cert = certificate()
    # Only the webhook that started this process may connect: it gave its certificate.
    credentials = grpc.ssl_server_credentials(
        [(key, cert)], root_certificates=os.environ["PLUGIN_CLIENT_CERT"].encode(), require_client_auth=True)
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    own = base64.b64encode(ssl.PEM_cert_to_DER_cert(cert.decode())).decode().rstrip("=")
    print(f"1|1|tcp|127.0.0.1:{port}|grpc|{own}", flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server.wait_for_termination()


serve()
