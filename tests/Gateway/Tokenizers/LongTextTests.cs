using Llama3Cluster.Gateway.Tokenizers;

namespace Llama3Cluster.Gateway.Tests.Tokenizers;

/// <summary>
/// A megabyte that is one pre-token, which any client may send. The bound is far from the second or so that it takes and far
/// from the minutes of a merge step that searches the whole text for every merge.
/// </summary>
public sealed class LongTextTests
{
    private const int Length = 1_000_000;

    private static readonly TimeSpan Bound = TimeSpan.FromSeconds(60);

    public static TheoryData<string> Texts => ["a", " ", "\n", "=", "ab", "é", "random", "spaces"];

    [Theory]
    [MemberData(nameof(Texts))]
    public async Task One_long_pre_token_must_not_take_quadratic_time(string kind)
    {
        foreach (TokenizerSource source in (TokenizerSource[])[TokenizerSource.Tiktoken, TokenizerSource.TokenizerJson])
            await AssertEncodes(TokenizerLoader.Load(SharedMaterial.Demo, source), Text(kind));
    }

    [Theory]
    [MemberData(nameof(Texts))]
    public async Task One_long_text_without_pre_tokens_must_not_take_quadratic_time(string kind) =>
        await AssertEncodes(TestTokenizerJson.SentencePiece().Load(), Text(kind));

    private static async Task AssertEncodes(ModelTokenizer tokenizer, string text)
    {
        int[] tokens = await Task.Run(() => tokenizer.EncodeText(text)).WaitAsync(Bound);
        Assert.Equal(text, TextStream.Decode(tokenizer, tokens));
    }

    private static string Text(string kind)
    {
        var random = new Random(15);
        return kind switch
        {
            "random" => string.Create(Length, random, (text, source) =>
            {
                for (int index = 0; index < text.Length; index++)
                    text[index] = (char)source.Next('a', 'z' + 1);
            }),
            "spaces" => string.Concat(Enumerable.Repeat(" \n \t", Length / 4)),
            _ => string.Concat(Enumerable.Repeat(kind, Length / kind.Length)),
        };
    }
}
