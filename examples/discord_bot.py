"""A Discord bot that shows flagged messages to moderators, and deletes those far over the line

    pip install discord.py
    DISCORD_TOKEN=... MOD_CHANNEL=1234567890 python discord_bot.py

It needs the intent "message content" and, to delete, the permission "manage messages". Start the service first: `toxicai serve`."""
import asyncio,os,sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from ask import flagged,in_words

delete_from = float(os.environ.get('DELETE_FROM', 1.01)) # Probability from which a message goes at once; above 1: never

async def moderate(
    message, # A `discord.Message`
    mods, # The channel of the moderators
):
    "Judge `message`; tell the moderators where something counts against it"
    if message.author.bot or not message.content.strip(): return
    labels, = await asyncio.to_thread(flagged, [message.content])
    if not labels: return
    gone = max(labels.values())>=delete_from
    await mods.send(f'{"Deleted" if gone else "Please look"}: {in_words(labels)}\n{message.jump_url} by {message.author.id}')
    if gone: await message.delete()

def main():
    import discord
    intents = discord.Intents.default()
    intents.message_content = True
    bot = discord.Client(intents=intents)

    @bot.event
    async def on_message(message): await moderate(message, bot.get_channel(int(os.environ['MOD_CHANNEL'])))

    @bot.event
    async def on_message_edit(before, after):
        if before.content!=after.content: await on_message(after)

    bot.run(os.environ['DISCORD_TOKEN'])

if __name__=='__main__': main()
