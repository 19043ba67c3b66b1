"""A hub for tests/project/pull.sh: two servers, the hub and the host of its large files, that behave
as the Hugging Face hub does, or as badly as the name of the repository says.

server.py FOLDER PLACE: repositories ORG/NAME are folders of FOLDER; PLACE gets "export HF_ENDPOINT=..."
once both listen, PLACE.log a line for every request: host method path range authorization."""

import hashlib
import json
import os
import sys
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ROOT, PLACE = sys.argv[1:]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE = (".safetensors", ".bin", ".pt", ".pth", ".gguf", ".onnx", ".msgpack")
HOSTILE = ["../../up.json", "/abs.json", "a//b.json", "a/../b.json", "b\\c.json", "new\nline.json",
           "x" * 300 + ".json"]
lock = threading.Lock()
seen = {}  # how often each path was asked for


def times(key):
    with lock:
        seen[key] = seen.get(key, 0) + 1
        return seen[key]


def files_of(repo):
    top = os.path.join(ROOT, repo)
    return sorted(os.path.relpath(os.path.join(d, f), top) for d, _, fs in os.walk(top) for f in fs)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def note(self, host):
        with lock, open(PLACE + ".log", "a") as log:
            log.write(" ".join([host, self.command, self.path, self.headers.get("Range", "-"),
                                self.headers.get("Authorization", "-")]) + "\n")

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        headers.setdefault("Content_Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def fault(self, repo):
        """Answers what is wrong with the repository; False where nothing is."""
        token = self.headers.get("Authorization")
        if repo == "t/none":
            self.answer(404, X_Error_Code="RepoNotFound")
        elif repo == "t/private" and token != "Bearer good":
            self.answer(401, X_Error_Code="" if token else "RepoNotFound")
        elif repo == "t/forbidden":
            self.answer(403)
        elif repo == "t/down" or (repo == "t/busy" and times(self.path) <= 2):
            self.answer(503, Retry_After="0")
        elif repo == "t/limit":
            self.answer(429, Retry_After="900")
        elif repo == "t/circle":
            self.answer(307, Location=self.path)
        elif repo == "t/outside":
            self.answer(302, Location="file:///etc/passwd")
        else:
            return False
        return True

    do_HEAD = do_GET = lambda self: self.serve()


class Hub(Handler):
    def serve(self):
        self.note("hub")
        path = urllib.parse.unquote(self.path)
        if path.startswith("/api/models/"):
            repo, _, revision = path[len("/api/models/"):].partition("/revision/")
            return self.fault(repo) or self.list(repo, revision)
        if path.startswith("/api/resolve-cache/"):
            repo, name = path[len("/api/resolve-cache/"):].split("//")
        else:
            repo, _, name = path[1:].partition("/resolve/")
            name = name.partition("/")[2]
        return self.fault(repo) or self.resolve(repo, name)

    def list(self, repo, revision):
        if repo == "t/old":
            return self.answer(307, Location="/api/models/t/plain/revision/" + revision)
        if revision not in ("main", "refs/pr/1", COMMIT):
            return self.answer(404, X_Error_Code="RevisionNotFound")
        names = HOSTILE if repo == "t/hostile" else files_of(repo)
        if repo.startswith("t/hostile-"):
            names = [HOSTILE[int(repo[len("t/hostile-"):])], "model.safetensors"]
        body = json.dumps({"sha": COMMIT, "siblings": [{"rfilename": n} for n in names]}).encode()
        if repo == "t/huge":
            body = b'{"sha":"' + b"x" * (65 << 20) + b'"}'
        if repo == "t/values":
            body = b'{"sha":"x","siblings":[' + b"[]," * (9 << 20) + b"0]}"
        if repo == "t/words":
            body = b"<html>hello"
        return self.answer(200, body)

    def resolve(self, repo, name):
        top = "t/plain" if repo == "t/old" else repo
        if repo == "t/gated":
            return self.answer(403, X_Error_Code="GatedRepo")
        if name not in files_of(top):
            return self.answer(404, X_Error_Code="EntryNotFound")
        with open(os.path.join(ROOT, top, name), "rb") as file:
            data = file.read()
        if name.endswith(LARGE):
            port = "%s:%d" % ("127.0.0.1", cdn.server_address[1])
            return self.answer(302, Location="http://%s/%s/%s" % (port, top, urllib.parse.quote(name)),
                               X_Repo_Commit=COMMIT, X_Linked_Size=str(len(data)),
                               X_Linked_Etag='"%s"' % hashlib.sha256(data).hexdigest())
        if "/resolve/" in self.path and name.endswith(".json"):
            return self.answer(307, X_Repo_Commit=COMMIT, ETag='"other"',
                               Location="/api/resolve-cache/%s//%s" % (repo, urllib.parse.quote(name)))
        git = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        return self.answer(200, data, X_Repo_Commit=COMMIT, ETag='W/"%s"' % git)


class Cdn(Handler):
    def serve(self):
        self.note("cdn")
        path = urllib.parse.unquote(self.path)[1:]
        repo = "/".join(path.split("/")[:2])
        with open(os.path.join(ROOT, path), "rb") as file:
            data = file.read()
        count = times(self.path)
        if repo == "t/wrong" or (repo == "t/wrong-once" and count == 1):
            data = data[:-1] + b"!"
        if repo == "t/long":
            data += b"more"
        begin = self.headers.get("Range", "bytes=0-")[len("bytes="):-1]
        begin = 0 if repo == "t/noranges" else int(begin)
        status = 206 if begin else 200
        body = data[begin:]
        if begin > len(data):
            return self.answer(416)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if begin:
            self.send_header("Content-Range", "bytes %d-%d/%d" % (begin, len(data) - 1, len(data)))
        self.end_headers()
        cut = len(body) // 2 if (repo in ("t/drop", "t/noranges") and count <= 2) else len(body)
        if repo in ("t/silent", "t/slow") and count == 1:
            cut = len(body) // 2
        for i in range(0, cut, 1 << 16):
            self.wfile.write(body[i:min(i + (1 << 16), cut)])
            if repo == "t/slow":
                time.sleep(0.02)
        if cut < len(body):
            self.wfile.flush()
            if repo in ("t/silent", "t/slow"):
                time.sleep(60)
            self.close_connection = True
            self.connection.close()


class Server(ThreadingHTTPServer):
    def handle_error(self, *_):
        pass  # clients go away in the middle, as they should


hub = Server(("127.0.0.1", 0), Hub)
cdn = Server(("127.0.0.1", 0), Cdn)
threading.Thread(target=cdn.serve_forever, daemon=True).start()
with open(PLACE + ".new", "w") as place:
    place.write("export HF_ENDPOINT=http://127.0.0.1:%d\n" % hub.server_address[1])
os.rename(PLACE + ".new", PLACE)
hub.serve_forever()
