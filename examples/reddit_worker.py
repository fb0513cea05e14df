"""Reads new comments of a subreddit and reports flagged ones to its moderators

    REDDIT_ID=... REDDIT_SECRET=... REDDIT_USER=... REDDIT_PASSWORD=... python reddit_worker.py mysubreddit

An app of the kind "script", of an account that may report. Start the service first: `toxicai serve`."""
import base64,json,os,sys,time
from collections import deque
from itertools import count
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request,urlopen

sys.path.insert(0, str(Path(__file__).parent))
from ask import flagged,in_words

login_url,api_url = os.environ.get('REDDIT_LOGIN', 'https://www.reddit.com'),os.environ.get('REDDIT_API', 'https://oauth.reddit.com')
agent = 'python:toxicai-example:1 (by an example of toxicai)'

def fetch(
    url:str, # Address
    auth:str, # Header `Authorization`
    form:dict=None, # Sent as a form, if given
) -> dict: # JSON of the answer
    "One request to Reddit"
    data = None if form is None else urlencode(form).encode()
    with urlopen(Request(url, data, {'User-Agent':agent, 'Authorization':auth}), timeout=30) as res: return json.load(res)

def login() -> str: # Header `Authorization`, good for a day at most
    "Log in as the account of the script"
    pair = f"{os.environ['REDDIT_ID']}:{os.environ['REDDIT_SECRET']}"
    form = dict(grant_type='password', username=os.environ['REDDIT_USER'], password=os.environ['REDDIT_PASSWORD'])
    answer = fetch(f'{login_url}/api/v1/access_token', 'Basic '+base64.b64encode(pair.encode()).decode(), form)
    return f"bearer {answer['access_token']}"

def new_comments(
    subreddit:str, # Its name
    auth:str, # Of `login`
    seen, # Names of comments that were judged
) -> list: # Comments as Reddit has them, oldest first
    "Comments that were not seen yet"
    listing = fetch(f'{api_url}/r/{subreddit}/comments?limit=100&raw_json=1', auth)
    return [o['data'] for o in listing['data']['children'] if o['data']['name'] not in seen][::-1]

def report(
    comments, # As `new_comments` gives them
    auth:str, # Of `login`
):
    "Report those that something counts against"
    if not comments: return
    for o,labels in zip(comments, flagged([o['body'] for o in comments])):
        if labels: fetch(f'{api_url}/api/report', auth, dict(thing_id=o['name'], reason=f'toxicai: {in_words(labels)}'[:100], api_type='json'))

def main(
    subreddit:str, # Its name
    rounds:int=None, # How often it is read; for ever by default
    wait:float=30, # Seconds between
):
    "Read and report, and log in anew when Reddit has forgotten us"
    auth,seen = login(),deque(maxlen=1000)
    for i in count() if rounds is None else range(rounds):
        if i: time.sleep(wait)
        try:
            found = new_comments(subreddit, auth, seen)
            report(found, auth)
            seen.extend(o['name'] for o in found)
        except HTTPError as e:
            if e.code!=401: raise
            auth = login()

if __name__=='__main__': main(sys.argv[1], int(os.environ.get('ROUNDS', 0)) or None, float(os.environ.get('WAIT', 30)))
