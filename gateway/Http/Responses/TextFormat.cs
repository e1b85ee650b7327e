using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Gateway.Http.Streaming;
using Llama3Cluster.Shards.Sampling;

namespace Llama3Cluster.Gateway.Http.Responses;

/// <summary>The responses of /v1/completions.</summary>
/// <param name="model">The model.</param>
/// <param name="id">The response's id.</param>
/// <param name="created">When the request came, in Unix seconds.</param>
/// <param name="includeUsage">Whether a stream ends with its usage.</param>
/// <param name="topLogProbs">Alternatives asked for with each token; null for no log-probabilities.</param>
/// <param name="echoes">What the text of each choice begins with; null when the prompt is not echoed.</param>
internal sealed class TextFormat(
    ServedModel model, string id, long created, bool includeUsage, int? topLogProbs, IReadOnlyList<string>? echoes)
    : CompletionFormat(model, id, created)
{
    private readonly Dictionary<int, int> _offsets = [];

    /// <inheritdoc/>
    public override void WriteOpening(EventStreamWriter stream, int choice)
    {
        if (echoes is not null)
            Write(stream, new TextChoice(choice, echoes[choice], null, null));
    }

    /// <inheritdoc/>
    public override void WriteText(
        EventStreamWriter stream, int choice, string text, IReadOnlyList<GenerationEvent.TokenGenerated>? tokens) =>
        Write(stream, new TextChoice(choice, text, LogProbs(choice, tokens), null));

    /// <inheritdoc/>
    public override void WriteFinish(EventStreamWriter stream, int choice, string finishReason) =>
        Write(stream, new TextChoice(choice, "", null, finishReason));

    /// <inheritdoc/>
    public override void WriteUsage(EventStreamWriter stream, Usage usage) =>
        stream.Write(WithUsage([], usage), ApiJson.Web.TextCompletionWithUsage);

    /// <inheritdoc/>
    public override IResult Whole(IReadOnlyList<CompletedChoice> choices, Usage usage)
    {
        var written = choices.Select((choice, index) =>
            new TextChoice(index, echoes?[index] + choice.Text, LogProbs(index, choice.Tokens), choice.FinishReason));
        return Results.Json(WithUsage([.. written], usage), ApiJson.Web.TextCompletionWithUsage);
    }

    private void Write(EventStreamWriter stream, TextChoice choice)
    {
        if (includeUsage)
            stream.Write(WithUsage([choice], null), ApiJson.Web.TextCompletionWithUsage);
        else
            stream.Write(
                new TextCompletion(Id, "text_completion", Created, ModelName, Fingerprint, [choice]), ApiJson.Web.TextCompletion);
    }

    private TextCompletionWithUsage WithUsage(IReadOnlyList<TextChoice> choices, Usage? usage) =>
        new(Id, "text_completion", Created, ModelName, Fingerprint, choices, usage);

    private TextLogProbs? LogProbs(int choice, IReadOnlyList<GenerationEvent.TokenGenerated>? tokens)
    {
        if (tokens is null)
            return null;
        int offset = _offsets.GetValueOrDefault(choice);
        int[] offsets = new int[tokens.Count];
        for (int i = 0; i < offsets.Length; i++)
        {
            offsets[i] = offset;
            offset += CharactersBegun(Tokenizer.DecodeBytes(tokens[i].Token.Token).Span);
        }

        _offsets[choice] = offset;
        return new TextLogProbs(
            [.. tokens.Select(token => Spell(token.Token.Token))],
            [.. tokens.Select(token => TokenText.LogProb(token.Token.LogProb))],
            topLogProbs is > 0 ? [.. tokens.Select(Alternatives)] : null,
            offsets);
    }

    /// <summary>The alternatives and the token itself, which the list always has.</summary>
    private Dictionary<string, double> Alternatives(GenerationEvent.TokenGenerated token)
    {
        var alternatives = new Dictionary<string, double>();
        foreach (TokenLogProb item in token.Top.Append(token.Token))
            alternatives.TryAdd(Spell(item.Token), TokenText.LogProb(item.LogProb));
        return alternatives;
    }

    /// <summary>A token in this API's form: bytes that are no whole characters are marked as such.</summary>
    private string Spell(int token)
    {
        string text = TokenText.Of(Tokenizer, token);
        return TokenText.IsWhole(Tokenizer, token) ? text : "bytes:" + text;
    }

    private static int CharactersBegun(ReadOnlySpan<byte> bytes)
    {
        int count = 0;
        foreach (byte value in bytes)
            count += (value & 0xC0) != 0x80 ? 1 : 0;
        return count;
    }
}
