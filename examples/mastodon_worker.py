"""Takes Mastodon's webhooks for new posts and reports flagged ones to the instance's own moderators

    MASTODON_URL=https://example.social MASTODON_TOKEN=... MASTODON_SECRET=... python mastodon_worker.py

Administration > Webhooks: the address of this worker, the events `status.created` and `status.updated`; its secret is
`MASTODON_SECRET`. The token needs the scope `write:reports`. Start the service first: `toxicai serve`."""
import hmac,json,os,re,sys
from html import unescape
from http.server import BaseHTTPRequestHandler,ThreadingHTTPServer
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from ask import flagged,in_words,post

most = 2**20 # bytes of a webhook

def is_signed(
    body:bytes, # As it came
    signature:str, # Of the header `X-Hub-Signature`
) -> bool:
    "Did the instance send it?"
    want = 'sha256='+hmac.new(os.environ['MASTODON_SECRET'].encode(), body, 'sha256').hexdigest()
    return hmac.compare_digest(want.encode(), signature.encode())

def plain(
    html:str, # Content of a post
) -> str: # What a reader sees
    "A post without its markup"
    return unescape(re.sub('<[^>]*>', '', re.sub(r'<br\s*/?>|</p>', '\n', html))).strip()

def report(
    status:dict, # A post, as Mastodon's API has it
):
    "Report `status` where something counts against it"
    text = plain(f"{status.get('spoiler_text', '')}\n{status['content']}")
    labels = flagged([text])[0] if text else {}
    if not labels: return
    body = dict(account_id=status['account']['id'], status_ids=[status['id']], comment=f'toxicai: {in_words(labels)}', category='other')
    post(f"{os.environ['MASTODON_URL']}/api/v1/reports", body, [('Authorization',f"Bearer {os.environ['MASTODON_TOKEN']}")])

class Hook(BaseHTTPRequestHandler):
    "Answers the webhooks"
    timeout = 10
    def do_POST(self):
        n = int(self.headers.get('Content-Length') or 0)
        body = self.rfile.read(n) if 0<n<=most else b''
        if not body or not is_signed(body, self.headers.get('X-Hub-Signature', '')): return self.send_error(403)
        event = json.loads(body)
        if event.get('event') in ('status.created','status.updated'): report(event['object'])
        self.send_response(204)
        self.end_headers()

def main(port=8090):
    ThreadingHTTPServer(('127.0.0.1', port), Hook).serve_forever()

if __name__=='__main__': main(int(os.environ.get('PORT', 8090)))
