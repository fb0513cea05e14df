"What the workers here ask a toxicai service; the standard library is enough. `TOXICAI_URL` and `TOXICAI_KEY` say where it is"
import json,os,time
from urllib.error import HTTPError
from urllib.request import Request,urlopen

def post(
    url:str, # Address
    body:dict, # For JSON
    headers=(), # Pairs of name and value
    tries:int=3, # How often a busy server is asked
) -> dict: # Its answer
    "Send JSON and read JSON; a server that is busy (429, 503) is asked again when it says"
    request = Request(url, json.dumps(body).encode(), {'Content-Type':'application/json', **dict(headers)})
    for left in range(tries-1, -1, -1):
        try:
            with urlopen(request, timeout=30) as res: return json.load(res)
        except HTTPError as e:
            if e.code not in (429,503) or not left: raise
            time.sleep(min(30, float(e.headers.get('Retry-After') or 1)))

def flagged(
    texts, # Texts; n of them
    url:str=None, # Address of the service; that of `TOXICAI_URL` by default
) -> list: # n dicts of label -> probability, empty where nothing reaches its threshold
    "What counts against each of `texts`"
    url = url or os.environ.get('TOXICAI_URL', 'http://127.0.0.1:8000')
    key = os.environ.get('TOXICAI_KEY')
    answer = post(f'{url}/v1/classify', {'texts':list(texts)}, [('Authorization',f'Bearer {key}')] if key else ())
    return [{k:o['scores'][k] for k,v in o['flags'].items() if v} for o in answer['results']]

def in_words(
    labels:dict, # Label -> probability
) -> str: # Like 'insult 0.93, threat 0.61'
    "What counts against a text, for a moderator"
    return ', '.join(f'{k} {v:.2f}' for k,v in sorted(labels.items(), key=lambda o: -o[1]))
