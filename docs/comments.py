"""Write `toxicai/comments.csv`, the invented comments of the demo; `--check` compares and exits 1 if it differs.

Every sentence and sentence part below was written for this project; none comes from a corpus or a real person.
A code stands before each text: `-` no label, `t` toxic, `i` insult, `p` profanity, `h` threat (`tip`: all three).
Only `Random.random` is drawn from, whose sequence Python promises to keep: every version writes the same bytes.
"""
import argparse, csv, io, random, re, sys
from pathlib import Path

SEED = 20
PATH = Path(__file__).resolve().parent.parent/'toxicai'/'comments.csv'
LABELS = {'toxic': 't', 'insult': 'i', 'profanity': 'p', 'threat': 'h'}
QUOTA = {'-': 858, 'p': 117, 't': 150, 'ti': 190, 'tip': 63, 'tp': 47, 'th': 56, 'thi': 10, 'thp': 9}
EMPTY = 0.04   # share of the cells of insult, profanity and threat that nobody annotated
NEAR = 0.55    # two texts may share at most this part of their words (Jaccard)

# Parts that fit everywhere
SLOTS = """
name: Marta | Deniz | Ollie | Priya | Tomasz | Kwame | Inês | Jun | Sven | Aoife | Zoë | Rashid | Lena | Carlos | \
    Mei | Pat
nick: @kettle42 | @moss_fan | @otter_dad | @nightbus | user 7731 | @plumjam | @grumblecat | @zeppo | @lowtide | \
    @fernando_k
idiot: idiot | moron | fool | clown | loser | halfwit | dimwit | nitwit | blockhead | buffoon | muppet | dunce | \
    blowhard | liar | coward | cheat | fraud | imbecile | simpleton | hypocrite | parasite | oaf | troll | rat
stupid: stupid | dumb | pathetic | useless | clueless | ridiculous | worthless | brainless | hopeless | idiotic | \
    incompetent
swearadj: damn | damned | goddamn | fucking | shitty | freaking fucking | crappy
swearnoun: shit | crap | bullshit | horseshit
swearperson: dumbass | jackass | asshole | shithead | bastard | piece of shit | dipshit | dickhead | smartass
wow: holy shit | damn | hot damn | well shit | oh crap | hell yeah | goddamn | fuck yeah
day: on Monday | on Tuesday | last week | yesterday | on Sunday night | this morning | in March | two days ago | \
    after lunch
n: two | three | four | five | 7 | 9 | 12 | 15 | 20 | 35
dull: doorknob | houseplant | garden gnome | damp sponge | goldfish | soggy biscuit | traffic cone | boiled potato | \
    brick
good: lovely | solid | much better than I expected | quite nice | worth it | surprisingly good
cheer: wow | yay | look at that | hooray
bad: overpriced | a bit dull | worse than before | hard to love | a little odd | half finished | confusing | loud
ident: a Muslim | a gay man | a Black woman | a Jewish reader | a trans woman | a deaf person | an immigrant | an \
    autistic adult | a wheelchair user | a Christian | a Mexican grandmother | a lesbian | an atheist | a Roma \
    musician | a pensioner
sorry: sorry | apologies | my mistake | oops | my bad | pardon
later: tomorrow | later today | next week | at the weekend | when I am home | tonight
warn: you will be sorry | you will pay for this | you are finished | you are done for | your time is up | you will \
    regret it
where: outside your house | at your work | at the station | in the car park | at the bus stop | on your way home
"""

# Parts that belong to one place. act: after "you" and after "have"; skill: after "how to"; pad: whole sentences
TOPICS = {
'recipes': """
thing: lentil soup | carbonara | sourdough | plum cake | goulash | ramen broth | crème brûlée | potato salad | \
    dumpling dough
role: cook | baker | recipe author | host | food blogger | caterer
act: burned the onions | put ketchup in the ragù | left out the salt | used margarine for the puff pastry | \
    overcooked the rice | opened the oven every minute | poured away the pasta water
skill: boil an egg | chop an onion | read a recipe | season a stew | knead dough | measure flour
pad: I let it simmer for {n} minutes longer than the text says. | My kids asked for seconds, which never happens. | \
    Can I swap the butter for olive oil here? | We ate it cold {day} and it was {good}. | Mine came out too dry, \
    maybe the oven runs hot. | Half a teaspoon of smoked paprika helps. | The link to the printable version is \
    broken. | In our family we add a bay leaf and a little vinegar. | I used {n} eggs instead of two because they \
    were tiny. | Next time I will toast the seeds first. | It freezes well for about {n} weeks. | Does this work \
    with rye flour? | {name} brought it to the office and the bowl came back empty. | The step about resting the \
    dough is missing. | Beat the egg whites until stiff, then fold them in slowly. | I don't own a stand mixer so my \
    arms hurt now. | Kill the heat before the cream goes in or it will split. | A pinch of nutmeg would not hurt. | \
    The cake sank in the middle, so we called it a crater. | Garlic goes in last or it turns bitter. | My oven has \
    two settings, off and lava. | Is 200 grams of cheese a typing error? | I doubled everything and fed {n} people. \
    | The photo shows parsley but the list does not. | Tastes like my grandmother's, minus the scolding. | {name}, \
    do you cover the pot or not? | We are {n} vegans and one cat, all happy. | Dough too sticky, I added a handful \
    of flour. | Lemon zest at the end makes the difference.
""",
'games': """
thing: swamp raid | ranked queue | ice map | lava level | new patch | co-op mode | archer build | final boss | \
    tutorial
role: healer | tank | sniper | jungler | raid leader | teammate | support main
act: pulled {n} mobs at once | left the flag alone | wasted the ultimate | fed their carry all game | sold the key \
    item | walked into the trap twice | stood in the fire
skill: read a minimap | dodge | hold a lane | aim | use a shield | play support
pad: Kill the archer first, then the boss. | My ping was over 300 all evening. | gg everyone, close one. | need one \
    more for the dungeon, level 12 or up | The servers go down {later} for maintenance. | I main druid but I can \
    heal. | Drop rates feel lower since the update. | Shoot the barrel and the whole room blows up. | anyone else \
    stuck at the bridge puzzle? | We wiped {n} times before the second phase. | The music in the snow area is \
    {good}. | push mid, they have no ult | Respawn takes forever on this map. | {name} carried us with that last \
    grenade. | the crossplay button is greyed out for me | I got destroyed in chess mode and loved it. | save your \
    mana for the dragon | brb, pizza is here | The fishing quest took me {n} tries. | I keep falling off the same \
    ledge. | LF guild, casual, evenings only. | Is the collector's sword a rare drop? | Controls feel stiff on a \
    pad. | He backstabbed me in the last second, well played. | Turn the brightness up in the cave. | Save file gone \
    after the crash, {n} hours lost. | You can pet the fox!!! | Enemy spawn is behind the church, throw smoke. | \
    {name} got the achievement with a dance mat.
""",
'code': """
thing: pull request | parser | cache layer | login form | migration script | config loader | retry logic | date helper
role: reviewer | maintainer | contributor | release manager | backend dev | committer
act: merged this without tests | deleted the lock file | pushed straight to main | ignored the linter | copied the \
    loop {n} times | reverted my fix | left the password in the log
skill: write a unit test | name a variable | read a stack trace | use git | close a file handle | review a diff
pad: CI is red on Windows only. | Could you split this into {n} commits? | nit: trailing whitespace in line 35. | I \
    can reproduce it on 3.11 but not on 3.12. | Please kill the zombie process before you rerun the suite. | The \
    docstring still mentions the old argument. | We should abort the child job when the parent dies. | This branch \
    is {n} commits behind. | LGTM once the changelog has an entry. | {name} asked for a benchmark {day}. | The dummy \
    value makes the test pass by accident. | A dict lookup would be {good} here. | I'd rather raise than return \
    None. | Memory goes up by {n} MB per request. | Is there a reason not to use pathlib? | The loop never ends when \
    the list is empty. | Rebased and squashed, thanks for the hints. | The stupid-simple version was faster in my \
    runs. | This fails if the user has no home folder. | Why {n} retries and not two? | The variable name says the \
    opposite of what it does. | Can we hold this until after the release? | I ran the formatter, hence the big diff. \
    | Timezones again, sigh. | {name} found a race in the shutdown path. | Works for me with a clean checkout. | An \
    error message here would save somebody an afternoon. | The test sleeps {n} seconds, is that needed? | Reverted, \
    it broke the nightly build.
""",
'sports': """
thing: second half | penalty | away kit | relay race | transfer | tie-break | cup draw | training camp | derby
role: referee | goalkeeper | coach | striker | linesman | commentator | captain
act: missed an open goal | dropped the baton | lost the ball {n} times | sold our best winger | left the bench empty \
    | argued with the ball boy | kept the same lineup
skill: defend a corner | pass a ball | take a penalty | count to eleven | serve | run a relay
pad: We were {n} points down and still won. | Their keeper had the match of her life. | Tickets for the derby cost \
    too much. | He shot from {n} metres and hit the bar. | The pitch was a swamp {day}. | That attack down the left \
    killed us. | Our under-15 girls won the regional final! | VAR took {n} minutes again. | {name} is back from \
    injury. | The women's relay was {good}. | They deserved the draw, honestly. | I think a back three suits us \
    more. | Rain stopped play after {n} overs. | Season tickets go on sale {later}. | The crowd sang for the whole \
    second half. | Beaten by a better team, no excuses. | Nobody tracked the runner at the far post. | What a fight \
    in the last lap, my legs hurt from watching. | The bus home took {n} hours. | New boots, same two left feet. | \
    Their fans brought drums and a goat. | Is the friendly {later}? | She ran the last lap in under a minute. | Half \
    the squad has the flu. | {name} signed for {n} more years. | My dad was a linesman and he still argues with the \
    TV. | A clean sheet at last. | The new mascot scares the children. | I'd start the kid from the academy.
""",
'wiki': """
thing: infobox | citation | lead section | article on canals | list of bridges | merge proposal | map caption | talk \
    page
role: editor | admin | patroller | copy editor | article owner | newcomer
act: removed {n} sources | reverted my edit | blanked the section | ignored the consensus | pasted a press release | \
    renamed the article without asking | archived an open thread
skill: cite a source | read the style guide | sign a post | use the sandbox | spell a headline | find a library
pad: The source given does not support the claim. | I moved the paragraph about the 1911 flood to its own section. | \
    Per the style guide, dates should be written out. | There are now {n} references from the same newspaper. | \
    Could an uninvolved editor have a look? | The population figure is {n} years old. | I have opened a thread about \
    it {day}. | Spelling differs between the infobox and the text. | Please sign your posts with four tildes. | \
    {name} uploaded a better map. | The killing of the archbishop is covered in a separate article. | I propose to \
    merge both stubs. | Two editors disagree, so let us ask for a third opinion. | The tone of the lead is too \
    breezy. | The bombing of the harbour happened in 1943, not 1944. | I am neutral on the title. | Dead link, \
    archived copy added. | The word "fool" is in the title of the play, so it stays. | The coordinates point into \
    the sea. | I have {n} books on the topic and none mentions it. | Is a tram museum notable enough? | The photo is \
    from the wrong bridge. | Requesting protection for a week, see the history. | Fixed the grammar, left the \
    content alone. | The name is spelled with one L in the register. | {name}, can you translate the Polish source? \
    | I counted {n} uses of "iconic". | A bot undid my change, what did I do wrong? | The census table needs a \
    footnote.
""",
'reviews': """
thing: kettle | rain jacket | desk lamp | headphones case | folding bike | phone mount | air mattress | blender | \
    suitcase
role: seller | courier | support agent | shop owner | waiter | hotel clerk | manager
act: sent the wrong size | lost my parcel | charged me twice | ignored {n} e-mails | packed glass without padding | \
    put my order on hold | closed my ticket
skill: answer a phone | pack a box | read an order | refund a customer | print a label | tell left from right
pad: Arrived after {n} days, box slightly dented. | The battery lasts about {n} hours. | It looks {good} on my desk. \
    | One star because the zip broke {day}. | The colour is more teal than blue. | Would buy again. | Support \
    answered within {n} minutes. | The manual is only in Finnish. | It is {bad} for the price. | My mum got the same \
    one and likes it. | The lid leaks when you tilt it. | Returned it and got the money back. | The smell is gone \
    after {n} washes. | Sturdy, but the screws are cheap. | {name} at the counter was very kind. | The room faced \
    the car park. | Cheap trash bag holder, does what it says. | Killer sound for such a tiny speaker. | The \
    instructions show a part that is not in the box. | Works with gloves on. | Makes a noise like a small goose. | I \
    bought {n} for the office. | Fits in the overhead locker. | The second one lasted longer than the first. | \
    {name} fixed it on the spot. | Breakfast until eleven, which I like. | Be aware that the plug is British. | The \
    paint came off after {n} days. | It survived my toddler and the stairs.
""",
'forum': """
thing: tent | aquarium filter | bass amp | tomato bed | telescope | bus timetable | vintage camera | dog harness | \
    beehive
role: moderator | thread starter | seller | newbie | poster | club secretary
act: bumped a thread from 2009 | posted the same photo {n} times | ignored the pinned post | bought the cheapest one \
    | asked without searching first | locked my thread | left the cover off in the rain
skill: use the search box | read a manual | tie a knot | water a plant | change a string | tune a guitar
pad: I have had mine for {n} years without trouble. | Photos are in the first post. | Slugs killed my lettuce again. \
    | The shop in town has them for {n} euro. | Do you run it on mains or on batteries? | Mine started to rattle \
    {day}. | Clear skies, so we saw Saturn's rings! | My dog is an idiot and ate the instructions. | Try a \
    second-hand one first. | Welcome to the forum, {name}. | I wrote a longer guide, it is pinned above. | It rained \
    for {n} days straight. | The old model was {good}. | Any tips for a beginner? | I threw the cheap hooks in the \
    bin. | Found a queen cell in the second frame. | The fuse blew twice, so I gave up. | My back is killing me \
    after all that digging. | What does the red wire do? | Mine is from 1978 and still runs. | I'd wait for the \
    spring sale. | The bees are calm today. | {name} has a video about it. | Rust on the inside is worse than rust \
    on the outside. | I measured {n} centimetres, could be wrong. | It is my third one since the move. | Sold, \
    please close. | The neighbours complained about the noise {day}. | Anyone near the coast with a spare pump?
""",
'news': """
thing: bike lane | school roof | bus strike | bridge closure | swimming pool | parking fee | town budget | night \
    market
role: mayor | councillor | journalist | bus driver | planner | letter writer | shopkeeper
act: voted against the playground | closed the library | spent {n} million on a roundabout | left out the ramps | \
    parked on the crossing | printed the wrong date | sold the old mill
skill: read a budget | drive a bus | count votes | fix a pothole | plan a street | check a fact
pad: The road has been closed for {n} weeks. | I take that bus every day and it is {bad}. | The fire was out after \
    {n} hours, nobody was hurt. | Police are looking for witnesses of the attack {day}. | The meeting in the town \
    hall is open to everyone. | Rents went up by {n} percent. | My street has no lights at all. | The new mosque and \
    the church share the car park. | The article leaves out who pays for it. | A ramp for wheelchairs would help \
    many people. | {name} from the bakery collected 400 signatures. | The old pool was {good}. | There was a \
    threatening letter to the council, the report says. | We need trees, not more tarmac. | My mother waited {n} \
    hours at the clinic. | The refugee choir sang at the opening. | The trial starts {later}. | Nice photo of the \
    harbour. | The clock on the tower is {n} minutes late. | Who decides about the trees? | I was at the meeting and \
    remember it differently. | The photo is from last year. | Our street collected for the family after the fire. | \
    There were {n} people at the protest and a brass band. | The bakery closes after 80 years. | {name} runs the \
    repair café there. | A bus every hour is not enough. | The river is high again. | Could you publish the full \
    report?
""",
'chat': """
thing: playlist | group photo | stream | karaoke night | quiz | meme | homework | train ticket | birthday plan | \
    voice note
role: flatmate | streamer | mod | quiz master | classmate | driver
act: missed my birthday | left the group twice | finished my leftovers | spoiled the ending | lost the tickets | \
    sent {n} voice notes | muted everyone
skill: keep a secret | read a clock | mute a mic | take a hint | spell my name | be on time
pad: omw, {n} min | who has the charger | lol same | the train is late again | see you {later} | my cat sat on the \
    keyboard | can someone send the address | {name} is bringing crisps | I'm dead 😂 that video | haha ok | what \
    time though | no signal in the tunnel | I would kill for a coffee right now | bring a jacket, it's cold | the \
    song at the end was {good} | did you see the moon?? | sry was asleep | movie was {bad} tbh | we need {n} more \
    chairs | is the shop still open | my phone is at {n} percent | left my umbrella at yours | {name} says hi | that \
    spoiler hurt me | we are at the table by the window | cant hear you | ok but who feeds the fish | sent you {n} \
    euro | nvm found it under the sofa | do we need tickets
"""}

# Frames: one is drawn, its slots are filled with general parts and with those of one topic
FRAMES = """
- Thanks {name}, the {thing} is {good} now.
- Does anyone know how long the {thing} takes?
- I think the {thing} is {bad}, but {name} likes it.
- Quick question about the {thing}: is it normal that it changes after {n} days?
- Could someone explain to me how to {skill}? I am new here.
- First attempt at a {thing} and it turned out {good}!
- I was wrong about the {thing}, {sorry}. I {act}.
- To be fair to the {role}, the {thing} is hard to get right.
- The {role} was friendly and took {n} minutes to explain the {thing}.
- Still waiting for news on the {thing}, will check again {later}.
- {name} and I disagree about the {thing}, and that's okay.
- Has anybody compared this {thing} with the old one?
- Happy birthday to our {role} 🎂
- I'd give the {thing} {n} out of 40, it is {bad}.
- Somebody {act}, please be more careful next time.
- Update: we {act} by accident. Fixed, {sorry}!
- {sorry}, wrong thread, I meant the {thing}
- Who else is going {later}? I can take {n} people.
- It took me {n} years to learn how to {skill}, so be patient with yourself.
- Honestly the {thing} made my day 😊
- I respectfully disagree with our {role}: a {thing} does not need that much work.
- Good point, {nick}. I had not thought of the {thing}.
- As {ident} I felt welcome here, and the {thing} was {good}.
- My neighbour is {ident} and the best {role} I know.
- {ident} won the prize for the {thing} {day}.
- I'm {ident}, I have {n} kids and I would love some help with a {thing}.
- Is there a group near me? I am {ident} and just moved to town.
- The new {role}, {ident}, explained the {thing} very well.
- This is not {stupid} at all, the {thing} only needs a bit more time.
- No question is {stupid} here, {name}. Everyone had to learn how to {skill}.
- I feel like a {idiot}, it was me who {act}.
- {nick} called me a {idiot} because I {act}. Please ban them.
- {nick} wrote "you {stupid} {idiot}" under my post about the {thing}, can a mod look at it?
- Calling a {role} a "{idiot}" over a {thing} is not okay.
- You are not a {idiot}, {name}. We all {act} once.
- The {thing} looked {stupid} on paper but turned out {good}.
- What a {stupid} {thing}. The idea, I mean, not the people behind it.
- Please stop calling the {role} {stupid}. They did what they could with the {thing}.
- I got a message saying "{warn}" after I {act}. Who do I report it to?
- {nick} keeps sending me "I know where you live". Any {role} online?
- Nobody is a {idiot} for asking how to {skill}.
- He said only a {idiot} would have {act}, she said he was {stupid}, and the thread got closed. Good decision.
- I don't hate the {thing}, I hate that it is {bad}.
- You will regret it if you skip the {thing}, it is {good}!
- I will find you a better {thing}, {name}, give me until {later}.
- My grandpa calls himself an old {idiot}, yet he can still {skill}.
- This {thing} is trash. What a letdown.
- Worst {thing} of the year, {bad} and late. The {role} did nothing wrong though.
- I'm too {stupid} to {skill}, it seems 😅
- "{stupid}" is a strong word for a {role} who {act}.
- You {act}. No worries, happens to everyone.
- You did not {skill} in time, so the {thing} has to wait. Try again {later}!
- Nobody wants you to leave, {name}. We need you for the {thing}.
- People like you keep the {thing} alive, thank you!
- You should never have to read insults for how you {skill}.
- Learn how to {skill} first, then the {thing} will be easy. It took me {n} tries.
- {cheer}, {name}, you finally know how to {skill}! So proud.
- I know where you live, {name}, so I'll drop off the {thing} {later}.
- See you {where} {later}, {name}! I'll bring snacks.
- I will be waiting for you {where} {later}, {name}. Look for the red umbrella.
- Watch your back when you carry the {thing}, {name}, it is heavy.
- {nick} said they would hurt me over a {thing}. What can I do?
- A stranger waited for my son {where} {day}. Please keep your eyes open.
- Nobody asked you to be perfect, {name}. You {act}, so what?
- Who cares who {act}? We all like the {thing}.
- Do us all a favour, {name}, and show us how to {skill}!
- Go away for a weekend, {name}, you earned it. We look after the {thing}.
- Adults and children are welcome, the {role} shows everyone how to {skill}.
- I was sad and alone after the {thing}, and you wrote to me. Thank you, {nick}.
- Whoever {act}, please come and talk to me. Nobody will be angry.
- Every {role} here laughs with you, {name}, not about you.
- I quit. The {thing} is too hard for me, and I hope somebody else can {skill}.
- You told me to shut up, {name}, and that hurt. Can we talk about the {thing} like adults?
- You can't {skill}? Me neither. Let's learn it together, {name}.
- I hope you get to {skill} again soon, {name}.
- They laughed at me because I can't {skill}. I'd rather be a {idiot} than be mean.
- "Nobody wants you here" is what our {role} told me {day}. I still think about it.
- Don't leave, {nick}. The {thing} was worse before you came.
- Do you have to be {stupid} to like the {thing}? Then so am I, happily.
- Is it me who is {stupid}, or is the {thing} {bad}?
- My {role} can't {skill}, and everybody adores him anyway.
p {wow}, this {thing} is {good}!
p That was a {swearadj} good {thing}, {name}.
p I {act}. What a {swearadj} mess, {sorry}.
p The {thing} is {swearnoun}, don't waste your money.
p {wow}, I just {act} 😂
p Took me {n} hours to {skill} because the guide is {swearnoun}.
p Who the hell {act}? Not angry, just curious.
p {nick} called me a {swearperson} after the {thing}. Can a {role} step in?
p No {swearnoun}, our {role} is a legend.
p I give a damn about the {thing}, that's why I ask.
p I'm such a {swearperson}, I {act} again.
p Fuck, no {thing} until {later}.
p Same {swearadj} problem with my {thing} since {day}, any fix?
p wtf happened to the {thing}, it was {good} {day}
p Badass {thing}, {name}! How did you do it?
p "{swearperson}" is not a word I want to read in a thread about a {thing}, please edit it.
t Nobody asked for your opinion on the {thing}. Go away.
t People like you are the reason the {thing} is ruined.
t Do us all a favour and never touch a {thing} again.
t You {act} and still dare to speak? Shut up.
t Whoever {act} should be kicked out and never come back.
t Did your mummy have to show you how to {skill}, {name}?
t Oh look, {nick} wants attention again. Nobody missed you.
t Just quit. The {thing} was better before you came.
t Every {role} here laughs about you behind your back, {name}.
t Imagine being {name} and thinking that anyone cares about your {thing}.
t Your whole life is this {thing}, isn't it? How sad.
t I hope you fail at everything, starting with the {thing}.
t Stay in your lane, {nick}. Adults are talking about the {thing}.
t We don't want your kind around here. Take your {thing} elsewhere.
t Bless your heart, you thought you could {skill}.
t Save your tears for someone who cares, {name}.
t No wonder you're alone, you {act}.
t I hope the {thing} goes wrong and everybody sees it was you.
t Maybe find a hobby that needs no thinking, {name}, since you can't {skill}.
t {n} years on this site and you still can't {skill}. Embarrassing for you and for us.
t Wow, {name}, a {good} {thing}. Who did it for you?
t How sweet, {name} tried to {skill}. Somebody give the child a sticker.
t The {thing} was {good} until {name} opened the door.
t I'm happy for the {role} who left. {name} should follow {later}.
t Thank you for the {thing}, {name}. We will keep it as a warning to others.
t Please bring the {thing} {later}, {name}, and then please never come again.
t {name} at the {thing} again? I'll stay at home, and so will everyone with taste.
t I asked for a {role}, and they sent {name}. I want my money back.
t With {name} as our {role} even the {thing} looks smart.
t We had a nice evening with the {thing}. Then {nick} wrote something, as always.
t You did your best, {name}, and that is the sad part.
t My {thing} has more friends than {name}.
t Some people learn how to {skill} at five. And then there is you, {name}.
t I told my kids about you, {name}, so that they finish school.
ti You are a {idiot}, {name}, everybody saw that you {act}.
ti Only a {idiot} like you would have {act}.
ti What a {stupid} {role}. Can't even {skill}.
ti {nick} is a {stupid} {idiot} and always was.
ti How {stupid} do you have to be to ruin a {thing}?
ti This {role} is a {idiot}, plain and simple.
ti I have met a {dull} that can {skill} better than you.
ti You have the brains of a {dull}, {name}.
ti A {dull} would be a better {role}.
ti Stop whining about the {thing}, you {idiot}.
ti Congratulations, {name}, you {act}. Are you proud, {idiot}?
ti lol what a {idiot}, can't even {skill}
ti The {role} must be the most {stupid} person in town.
ti Another day, another {stupid} comment by a {stupid} person. Learn how to {skill}, {nick}.
ti Ignore {name}, {name} is right: that guy is a {idiot}.
ti You {stupid} {idiot}, you {act}!
ti {idiot}s like you make the {thing} unbearable.
ti If ignorance were a sport, {name} would be champion. {stupid} as ever.
ti I explained it {n} times, but you are too {stupid} to {skill}.
ti Your parents must be so ashamed of raising a {idiot}.
ti Sit down, {idiot}, the {thing} is for people who can {skill}.
ti Typical {role}: lazy, {stupid} and proud of it.
ti Everything you write about the {thing} proves that you are {stupid}.
ti You're not bad at this, {name}, you're {stupid}. There is a difference.
tip You {swearadj} {idiot}, you {act}.
tip What kind of {swearperson} would have {act}?
tip The {role} is a {swearperson} and the {thing} proves it.
tip {name}, you're full of {swearnoun} and {stupid} on top.
tip Go home, {swearperson}. You can't {skill}.
tip {stupid} {swearadj} {role}, learn how to {skill}.
tip Nobody likes you, you {swearadj} {idiot}.
tip {nick} is the biggest {swearperson} on this site.
tip Hey {swearperson}, who told you to touch the {thing}?
tp Shut the fuck up about the {thing}, {name}.
tp Nobody gives a shit about you or your {thing}.
tp Get the hell out of here, {nick}, we don't want you.
tp Keep your {swearadj} mouth shut until you can {skill}.
tp You {act}. Go to hell.
tp Take your {swearadj} {thing} and fuck off.
tp I am sick of your {swearnoun}, {name}. Leave.
tp Fuck you and your {thing}.
th You {act}. I know where you live, and {warn}.
th Touch the {thing} once more and {warn}.
th I will be waiting for you {where} {later}, {name}, and you won't walk away.
th Delete that or I come over and make you.
th Watch your back, {nick}. {warn}.
th Keep talking about the {thing} and I'll break your nose.
th We know your name, {name}. See you {where}.
th I swear I'll hurt you if I see you near the {thing}.
th You won't be so brave {later} when we meet {where}.
th Say that again and you will need a doctor, {name}.
th I'd lock the door tonight if I were you, {nick}.
thi {warn}, you {idiot}. I know your address.
thi Watch out {where}, {idiot}, I will get you for what you said about the {thing}.
thi A {idiot} like you deserves a beating and {later} you will get it.
thp I will beat the shit out of you {where}.
thp I'm going to kick your ass {later}, {name}, just wait.
thp One more word about the {thing} and I will fucking hurt you.
"""

# Whole comments, each used once as it stands (some get a typo, an emoji or lower case)
WHOLE = """
- ok
- Agreed.
- +1
- lol
- Thanks!
- gg
- Why?
- Same here
- Source?
- Nope, not me.
- 👍
- no idea tbh
- Bump
- First!
- Per favore, write in English so that the moderators can read it.
- Grüße aus Köln, das Rezept ist super!
- Très bon, merci beaucoup 🥖
- ¿Alguien sabe a qué hora empieza?
- Dziękuję, this helped me a lot.
- Ich bin doof, hab den Schalter übersehen 😅
- brb
- ngl that was a great round
- Never mind, found it.
- Is this thing on?
- Closing as duplicate of the other report.
- The café on the corner has reopened, with the same grumpy parrot.
- My daughter built a volcano for school and it erupted in the car.
- Has anyone tried growing lemons indoors in a northern flat?
- I read all four books in a week and now I do not know what to do with my evenings.
- the bass on that track is killing it
- You killed it on stage tonight, I had goosebumps!
- He shot the best wedding pictures we have ever seen.
- We need to kill this rumour: the library is not closing.
- Kill process 4411, then start the server again.
- This plant is a beast. Three metres in one summer.
- The cat murdered my favourite cushion, feathers everywhere.
- Bombed my maths exam, ice cream time.
- I will hunt you down a copy of the manual, give me a day.
- Shoot me an e-mail when you land.
- If you don't hear from us by noon, call the front desk.
- I'm coming for that trophy next year, just wait!
- Better watch out for the second boss, he hides behind the pillar and one-shots the healer.
- This is not stupid at all, I had the same question for years.
- He called me an idiot, please ban him.
- She told the whole class I was a loser. How do I talk to her about it?
- I don't think you are dumb. I think the form is badly designed.
- Someone sprayed "traitor" on our door last night. We are shaken, but thank you for the soup and the kind words.
- The word "moron" was a medical term once; the article should mention when that changed.
- "Shut up and take my money" was my first thought when I saw the red one.
- Reporting this: the user wrote "go back to where you came from" to my sister.
- My boss says I'm useless about twice a week. Is that something to bring to the union?
- Please don't write "only idiots vote for them". You may disagree without that.
- It's a silly little game and I love it.
- The villain calls him a worthless worm in act two, and the audience cheered when he answered.
- I was a fool to sell that guitar.
- Dumb question maybe, but where does the lid go?
- Ugly sweater contest on Friday, bring your worst!
- That joke about lawyers was lame but harmless.
- Nobody here is a fool for falling for that scam. The page looked real.
- Hate is a strong word; I mildly dislike coriander.
- I hate Mondays and I hate this printer.
- I hate how much I love this show.
- We lost because we were worse. No blame on the referee.
- Your argument is weak, here are three studies that say otherwise.
- I think the mayor is wrong on this and I will vote for somebody else.
- This proposal is a bad idea and I oppose it for the reasons given above.
- Strongly disagree. The numbers do not add up, and the table was never updated after the correction in May.
- Sorry, but this code does not work. It drops every second row.
- With respect, that is nonsense: water does not boil at 80 degrees at sea level.
- Terrible service, the soup was cold, and nobody came to our table for forty minutes.
- Waste of money. The strap tore on day one.
- Absolute garbage fire of a release, but the team fixed it within a day, hats off.
- The referee had a bad day, it happens. Leave his family out of it.
- Trash talk stays on the court. After the whistle we all shake hands.
- My brother and his husband run the stall next to the fountain, say hi if you pass by.
- As a Black engineer I would like to see more of us at the meetup, and the last one was a good start.
- The Jewish museum is free on the first Sunday of the month.
- Ramadan starts next week, so the kitchen will stay open late for our Muslim guests.
- I am gay and Catholic and I sing in the choir. Ask me anything, politely.
- Deaf gamer here, thanks for the subtitles!
- The trans swimming group meets on Thursdays at six.
- Our Syrian neighbours brought baklava, and now the whole house is friends.
- I'm autistic and find the new layout much calmer.
- Old people like me need bigger fonts, please.
- The women's team plays at noon, and the men's team plays after that.
- My wife and I, two women in our sixties, biked the whole river path.
- I cried like a baby when they won the cup.
- That goal was criminal, in the best way 🔥
- This sauce is sick!!
- Wicked guitar tone, which pedal is that?
- The dog bit the postman again and we feel awful. He is fine, and we brought him flowers.
- Warning: the steps behind the school are icy, my son fell and broke his wrist.
- The suspect threatened the cashier, took nothing and fled on a scooter, police say.
- A man was sentenced for sending death threats to two judges.
- The article on the siege uses "massacre" in the title; most historians write "battle". Can we discuss it?
- Removed an insult from the talk page. Please comment on content, not on editors.
- I was blocked for a day for what I wrote, and I deserved it. It won't happen again.
- You're right, I was rude yesterday. Sorry, Mei.
- No need to apologise, we were all tired.
- Let's agree that we disagree and go eat.
- This is the third time the lift is broken. I'm on crutches and live on the sixth floor. Please do something!
- Can we please have one thread without a fight?
- Why does everybody downvote the poor guy? He only asked a question.
- Don't let the trolls get to you, your drawings are great.
- You are not worthless. Please call someone you trust, and write to me whenever you like.
- I felt so pathetic after that match, but training on Tuesday helped.
- As a kid they called me fatty. Now I teach PE and nobody in my class gets called names.
- "You people" sounds bad, so I rewrote the sentence.
- It would be stupid not to use the discount, it ends today.
- Stupidly good brownies.
- Idiot-proof instructions, even I managed.
- An Idiot Abroad in the Kitchen is the name of my little food blog, be kind.
- The clown at the birthday party was wonderful with the shy kids.
- The rat in my attic has moved out, finally.
- There is a snake in the compost heap. Should I worry?
- Pig farmers in the valley ask for help after the flood.
- I dropped it, I stepped on it, my toddler threw it down the stairs, and the thing still plays. Six stars if I could.
- Bought it for my father, who is 84 and hates new things. He calls me on video every day now to show me his tomatoes.
- The plot is thin, the acting is wooden, and I laughed for two hours. Go and see it with a friend.
- Boil the potatoes in their skins, let them cool, peel them, slice them thin. Warm broth, mustard, vinegar, oil. \
Let it sit for an hour before you judge it. No mayonnaise, my grandmother would come back to haunt you. If it tastes \
flat, it wants salt; if it tastes sharp, a spoon of sugar. We serve it with pickles and a fried egg on top, and \
there has never been anything left.
- I have followed this argument for three days, and both sides have a point. The bike lane takes eleven parking \
spaces, and the bakery and the pharmacy need deliveries. On the other hand two children were hit at that corner \
since spring, and nobody should have to accept that. What about a loading zone on the side street, between six and \
ten in the morning, and a raised crossing? It costs less than the fence in the current plan. I sent a drawing to the \
council and will bring copies to the meeting on Thursday. Please come, and please let us listen to each other for \
once.
- Short version: works, but read on. I came from the old release with about 40,000 lines of notes. The import took \
an hour and dropped every accent, so "Zoë" became "Zo" and "naïve" became "nave". I reported it, got an answer the \
same evening, and a fixed build two days later. That is how it should be. What I still miss is a search that ignores \
case and a dark theme for the editor. Four stars, and the fifth is waiting.
- We started the season with nine players and a borrowed net. Nobody believed in us, least of all me. Then Kwame's \
cousin moved here, Aoife came back from her knee injury, and the bakery paid for shirts. We lost the first six \
games, drew two, and on Saturday we won, in the rain, with a goal off somebody's backside in the last minute. I have \
a sore throat and a stupid grin and I would not swap this club for any other.
- To the person who found my wallet on the night bus: everything was in it, even the coffee card with nine stamps. \
You left no name. The tenth coffee is yours, I left it paid at the kiosk.
- The bug is mine. I assumed that the list is sorted, and it isn't when two workers write at once. I will add a \
lock, a test with two processes, and a note in the changelog. Sorry for the noise, and for the lost evening.
p damn
p Shit, wrong channel.
p damn good soup
p Holy crap that sunset
p What the hell happened to the bus timetable?
p Well, shit. I deleted the wrong folder.
p Fuck yes, we made it to the final!!!
p My code is crap today, I need coffee.
p That's a bloody mess of a config, and I say that as the person who wrote the damn thing.
p This kettle is a piece of shit, the handle melted.
p You magnificent bastard, you did it!
p Kick-ass solo, who is the drummer?
p No f*cking way, congrats!!
p Hell of a match, well played both.
p I don't give a shit about the money, I only want my grandma's ring back.
p Crap, I'm late again
p The printer is being an ass again.
p He yelled "fuck off" at my kid from the car. Did anyone see the number plate?
p Don't call people assholes in the commit messages, please.
p omg shit just got real, the dragon is awake
p Bullshit jobs are a real thing, there is a book about it.
p so damn tired
p It hurts like hell, but the doctor says the knee will heal.
p Damn it, I forgot the yeast.
p Love this badass old lady on the scooter 🛵
p WTF is wrong with the lights on Mill Street, they blink all night
t Nobody asked you.
t Shut up.
t ratio, nobody cares
t Cry more.
t skill issue, uninstall and go outside
t Yawn. Go bother someone else.
t This is why your kids don't call you.
t Funny how the thread was nice until you showed up.
t We all voted, and we would like you to leave the club.
t Your mother must regret so much.
t The world would not notice if you stopped posting. Or breathing.
t I feel sorry for anyone who has to sit next to you at work.
t Did you write this with your elbows? Stick to colouring books.
t Some of us have a job, unlike you.
t Of course you would say that. Your sort always does.
t Back to the kitchen with you, the men are talking.
t Women should stay out of this server, they only make trouble.
t Nobody over sixty should be allowed to vote or to type.
t People from that end of town should be fenced in.
t They come here, they take and take, and they give nothing back. Send them all away.
t Poor people should not have children, it is that simple.
t I bet you eat lunch alone, and I understand why.
t Keep talking, it's fun to watch you embarrass yourself.
t Your team lost and your city is a dump and I hope it stays that way.
t I hope you drop your phone in the toilet and your dog runs off.
t Hope the whole crew of that shop goes broke before winter.
t You got what you deserved. I laughed when I heard about the accident.
t Good. One less of them on the road.
t Let me use small words so that you can follow.
t Oh honey, no. Let the grown-ups handle it.
t I've seen your face, so I get why you hide behind an avatar.
t Everyone pretends to like you, did you really not know?
t You call that singing? My ears want compensation, and so do your neighbours.
t Go and tell it to somebody who has to listen, like your therapist.
t Nobody is going to read that, just like nobody read your last one.
t Please never cook for another person. It should be against the law for you to hold a spoon.
t Delete your account.
t Do the world a favour and don't reproduce.
t If I wanted to hear from the back of the class, I would have asked.
t Who let you in here?
t Not reading all that, happy for you, or sorry it happened. Now get lost.
t Take the hint: when you enter the chat, the others leave.
t I would explain it to you, but I have neither the time nor the crayons.
t Must be nice to go through life with so little going on upstairs.
t You were adopted by this team out of pity. Remember that.
t What a surprise, the one who never helps has an opinion on how the rest of us work.
t We have read your five paragraphs on the canal article, and we have all agreed to forget them. You bring nothing, \
you know nothing, you have been told so on three talk pages, and still you return like damp in a cellar. There is a \
whole internet out there. Please go and spoil another part of it, and let people who have opened a book finish this \
one.
ti idiot
ti Loser.
ti moron lol
ti You absolute donkey.
ti noob team, uninstall
ti what a clown 🤡
ti ur so dumb
ti trash player, trash human
ti You're a joke.
ti Liar, liar, liar!
ti Ugly inside and out.
ti Spineless worm.
ti You are as sharp as a bowl of porridge.
ti The lights are on, but nobody has lived in your head for years.
ti Even my toaster understood the rules before you did.
ti If brains were petrol you could not drive round a biscuit.
ti He is not lazy, he is simply too dim to find the door.
ti Whoever wrote this article is a hack and should sell socks.
ti This reviewer couldn't find a bug in an ant farm. Useless.
ti All fans of that club are brain-dead sheep.
ti The mayor is a crook and a coward, and so are the fools who voted for her.
ti You are a pathetic little man with a whistle.
ti Fat, slow and stupid, that's our new keeper for you.
ti A face like a dropped pie and the manners to match.
ti What a bunch of snowflakes and crybabies, grow up.
ti You people are vermin and this site is your nest.
ti The staff are a pack of thieves and half-wits, never again.
ti My healer is a potato. An actual potato.
ti bot. you are a bot. even bots aim better
ti I have seen better defending from a line of washing. Our captain is a waste of a shirt.
ti Are you really this thick, or do you practise?
ti She's a fake and a leech, everybody in the choir knows it.
ti Nobody this dense should be allowed to merge.
ti Your opinion is worth as much as you are: nothing.
ti You cheap, whining, two-faced weasel.
ti 1d10t
ti St*pid m0r0n, report me, I dare you
ti Bit rich coming from the village fool.
ti Thanks for nothing, genius. A trained hamster would have read the manual.
ti Only a simpleton puts cream in carbonara, and only a bigger one posts it with pride.
ti I waited fifty minutes for a pizza that was cold in the middle, and when I complained, the waiter rolled his \
eyes. So here it is in writing: you are a lazy, rude, good-for-nothing oaf, and I hope that everyone who reads this \
walks past your door. My six-year-old has better manners and could carry a plate, too. The tiramisu was fine.
ti Every week the same show. He comes in late, he blames the juniors, he breaks the build, and then he writes three \
pages about standards. The man is a windbag and a fraud. He has not had an idea since the floppy disk, and the only \
thing he ever shipped on time was himself, to lunch.
tip dumbass
tip Asshole!
tip You f*cking idiot.
tip what a piece of sh!t you are
tip fking noob, learn to heal
tip Dumb as shit, the whole lot of you.
tip The landlord is a greedy bastard and his brother is worse.
tip Shithead driver cut me off again.
tip Read the damn error, you lazy moron.
tip Your cooking is crap and so are you.
tip You sorry-ass excuse for a goalkeeper.
tip Smartass comment from a dumbass user, what else is new.
tip He's a lying sack of crap and the whole council knows.
tip Only a complete jackass parks like that.
tip a$$hole, give me my loot back
tip Congratulations, you are the biggest shit on this whole talk page.
tp fuck off
tp STFU
tp Go to hell.
tp Who gives a shit what you think?
tp Piss off, nobody wants you here.
tp get the f**k out of my lane
tp Cry about it, you and your damn feelings.
tp Oh for fuck's sake, not you again. Leave us alone.
tp Stick your apology up your ass.
tp Eat shit, all of you at that shop.
tp I don't give a damn if you live or die.
tp shut your damn mouth, pls
th I know where you live.
th Watch your back.
th You're dead after school.
th sleep with one eye open
th Next time I see you, you'll be on the floor.
th Nice car. Would be a pity if something happened to it.
th Be careful on your way home, accidents happen.
th I have your address and a lot of free time.
th If you report me, I will find your sister too.
th One day somebody will teach you a lesson, and I will be that somebody.
th Someone should burn that shop down, and maybe I will.
th Come to the derby on Saturday and see what happens to you.
th You took my job. I will take something from you. It won't be today and it won't be tomorrow, but you will know \
that it was me when you come home and the door is open.
thi You rat. We are coming for you tonight.
thi Listen, coward, I'm going to smash your face in.
thi Enjoy your teeth while you have them, clown.
thp I'll kick your ass so hard you'll need a map to get home.
thp Shut the hell up or I will come round and shut you up.
"""

SWEARS = re.compile(r'(?i)\b(idiot|moron|stupid|loser|dumb|clown|coward|shit|crap|fuck|damn|bastard|jackass)')
EMOJI = ['😂', '🙄', '😅', '🔥', '💀', '🤷', '👀', '😭', '🙃', '...', 'lol', 'tbh', '🤔', '^^', 'smh', ':)', ':/']
DISGUISE = dict(zip('aeiou', ['4@*', '3*', '1!*', '0*', '*v*']))
CASUAL = 'games', 'chat'


def parts(block):
    "The slots of `block`, lines of `name: part | part`, as lists by name."
    rows = [o.split(':', 1) for o in block.strip().splitlines()]
    return {k: [' '.join(o.split()) for o in v.split(' | ')] for k,v in rows}


def coded(block):
    "The lines of `block` as pairs of a code and a text."
    return [tuple(o.split(' ', 1)) for o in block.strip().splitlines()]


class Writer:
    "Draws comments from the parts above, with `random()` of the generator seeded by `seed` alone."
    def __init__(self, seed):
        self.random = random.Random(seed).random
        self.topics = {k: {**parts(SLOTS), **parts(v)} for k,v in TOPICS.items()}
        self.frames, self.queue, self.seen = coded(FRAMES), {}, []

    def pick(self, seq): return seq[int(self.random()*len(seq))]
    def shuffle(self, seq): return [o for _,o in sorted([(self.random(), o) for o in seq])]
    def chance(self, p): return self.random() < p

    def next(self, key, seq):
        "The next of `seq` in an order shuffled anew whenever it is used up, so that all are used about equally often."
        if not self.queue.get(key): self.queue[key] = self.shuffle(seq)
        return self.queue[key].pop()

    def fill(self, text, topic):
        "`text` with every slot replaced by a part, no part twice, then articles and capitals put right."
        slots, used = self.topics[topic], set()
        def part(m):
            res = self.pick([o for o in slots[m[1]] if o not in used])
            used.add(res)
            return res
        while '{' in text: text = re.sub(r'{(\w+)}', part, text, count=1)
        text = re.sub(r'\b([Aa]) (?=[aeiouAEIOU](?!s[ei]|ni|ne ))', r'\1n ', text)
        return re.sub(r'(?:^|(?<=[a-z][.!?] ))[a-z]', lambda m: m[0].upper(), text)

    def sentence(self, code, topic, ppad):
        "One unfilled sentence of `code`; with probability `ppad` it is one without any label that only fits `topic`."
        if self.chance(ppad): return self.next(topic, self.topics[topic]['pad'])
        return self.next(code, [t for c,t in self.frames if c==code])

    def extras(self):
        "How many sentences a comment has besides its main one: mostly none, with a long tail."
        r = self.random()
        if r < .87: return (r>=.53) + (r>=.75)
        return 3+int(self.random()*2) if r<.94 else 5+int(self.random()*7)

    def compose(self, code):
        "A comment of `code` and its topic: a main sentence somewhere among others, most of these without labels."
        topic = self.pick(list(self.topics))
        main = self.sentence(code, topic, .35 if code=='-' else 0)
        rest = [self.sentence(code, topic, .85) for _ in range(self.extras())]
        *head, last = [self.fill(o, topic) for o in self.shuffle(dict.fromkeys([main, *rest]))]
        return ' '.join([*[o+'.'*o[-1].isalnum() for o in head], last]), topic

    def typo(self, text):
        "`text` with one slip of the finger in one of its longer words, if it has one."
        words = list(re.finditer(r'\b[a-zA-Z]{5,}\b', text))
        if not words: return text
        m = self.pick(words)
        i = m.start()+1+int(self.random()*(len(m[0])-2))
        a,b = text[i],text[i+1]
        return text[:i] + self.pick([b+a, b, a+a+b, a+b+b]) + text[i+2:]

    def disguise(self, text):
        "`text` with a vowel of each rude word replaced, as people do to get past a word list."
        def hide(m): return re.sub('(?i)(?<=.)[aeiou]', lambda o: self.pick(DISGUISE[o[0].lower()]), m[0], count=1)
        return SWEARS.sub(hide, text)

    def roughen(self, text, topic):
        "`text` as people type it: some of it in lower case or capitals, with a typo, a disguised word, a tail."
        if self.chance(.5 if topic in CASUAL else .1): text = text.lower().rstrip('.')
        elif self.chance(.02): text = text.upper()
        if self.chance(.1): text = self.disguise(text)
        if self.chance(.16): text = self.typo(text)
        if self.chance(.09): text = f'{text} {self.pick(EMOJI)}'
        return text

    def fresh(self, text):
        "Whether no comment so far has mostly the words of `text`; if so, remember it."
        words = set(re.findall(r'\w+', text.lower()))
        if any(len(words&o) > NEAR*len(words|o) for o in self.seen): return False
        self.seen.append(words)
        return True

    def comments(self):
        "All pairs of a code and a comment, in an order that tells nothing."
        res = [(c, self.roughen(t, 'forum') if len(t)>25 else t) for c,t in coded(WHOLE)]
        for _,t in res: self.fresh(t)
        for code,n in QUOTA.items():
            todo = n - sum(c==code for c,_ in res)
            while todo:
                text, topic = self.compose(code)
                if self.fresh(text): res, todo = res+[(code, self.roughen(text, topic))], todo-1
        return self.shuffle(res)

    def row(self, code, text):
        "The cells of one comment; a few of those beside `toxic` stay empty."
        cells = {k: str(int(v in code)) for k,v in LABELS.items()}
        return [text, *[v if k=='toxic' or not self.chance(EMPTY) else '' for k,v in cells.items()]]


def content(seed=SEED):
    "The CSV as text."
    out, writer = io.StringIO(), Writer(seed)
    rows = [writer.row(*o) for o in writer.comments()]
    csv.writer(out, lineterminator='\n').writerows([['comment', *LABELS], *rows])
    return out.getvalue()


def main():
    "Write the CSV, or with `--check` compare it."
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--check', action='store_true', help='compare with the file instead of writing it')
    data = content().encode('utf-8')
    if not parser.parse_args().check: PATH.write_bytes(data)
    elif not PATH.exists() or PATH.read_bytes()!=data: sys.exit(f'{PATH} differs from what this program writes')


if __name__ == '__main__': main()
