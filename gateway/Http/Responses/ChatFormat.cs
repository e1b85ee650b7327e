using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Gateway.Http.Streaming;
using Llama3Cluster.Shards.Sampling;

namespace Llama3Cluster.Gateway.Http.Responses;

/// <summary>The responses of /v1/chat/completions.</summary>
internal sealed class ChatFormat(ServedModel model, string id, long created, bool includeUsage)
    : CompletionFormat(model, id, created)
{
    private const string Role = "assistant";

    /// <inheritdoc/>
    public override void WriteOpening(EventStreamWriter stream, int choice) =>
        Write(stream, new ChatChunkChoice(choice, new ChatDelta(Role, ""), null, null));

    /// <inheritdoc/>
    public override void WriteText(
        EventStreamWriter stream, int choice, string text, IReadOnlyList<GenerationEvent.TokenGenerated>? tokens) =>
        Write(stream, new ChatChunkChoice(choice, new ChatDelta(Content: text), LogProbs(tokens), null));

    /// <inheritdoc/>
    public override void WriteFinish(EventStreamWriter stream, int choice, string finishReason) =>
        Write(stream, new ChatChunkChoice(choice, new ChatDelta(), null, finishReason));

    /// <inheritdoc/>
    public override void WriteUsage(EventStreamWriter stream, Usage usage) =>
        stream.Write(ChunkWithUsage([], usage), ApiJson.Web.ChatChunkWithUsage);

    /// <inheritdoc/>
    public override IResult Whole(IReadOnlyList<CompletedChoice> choices, Usage usage)
    {
        var written = choices.Select((choice, index) =>
            new ChatChoice(index, new AssistantMessage(Role, choice.Text), LogProbs(choice.Tokens), choice.FinishReason));
        var response = new ChatCompletion(Id, "chat.completion", Created, ModelName, Fingerprint, [.. written], usage);
        return Results.Json(response, ApiJson.Web.ChatCompletion);
    }

    private void Write(EventStreamWriter stream, ChatChunkChoice choice)
    {
        if (includeUsage)
            stream.Write(ChunkWithUsage([choice], null), ApiJson.Web.ChatChunkWithUsage);
        else
            stream.Write(
                new ChatChunk(Id, "chat.completion.chunk", Created, ModelName, Fingerprint, [choice]), ApiJson.Web.ChatChunk);
    }

    private ChatChunkWithUsage ChunkWithUsage(IReadOnlyList<ChatChunkChoice> choices, Usage? usage) =>
        new(Id, "chat.completion.chunk", Created, ModelName, Fingerprint, choices, usage);

    private ChatLogProbs? LogProbs(IReadOnlyList<GenerationEvent.TokenGenerated>? tokens) =>
        tokens is null ? null : new ChatLogProbs([.. tokens.Select(WithAlternatives)]);

    private ChatTokenLogProb WithAlternatives(GenerationEvent.TokenGenerated token) =>
        LogProb(token.Token, [.. token.Top.Select(top => LogProb(top, null))]);

    private ChatTokenLogProb LogProb(TokenLogProb token, IReadOnlyList<ChatTokenLogProb>? top) => new(
        TokenText.Of(Tokenizer, token.Token), TokenText.LogProb(token.LogProb), TokenText.BytesOf(Tokenizer, token.Token), top);
}
