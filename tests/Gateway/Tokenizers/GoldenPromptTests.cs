using System.Text;
using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Gateway.Tokenizers;

namespace Llama3Cluster.Gateway.Tests.Tokenizers;

/// <summary>The golden prompts of the small models, and their greedy answers as text.</summary>
public sealed class GoldenPromptTests
{
    [Theory]
    [InlineData(TokenizerSource.Tiktoken)]
    [InlineData(TokenizerSource.TokenizerJson)]
    public void Demo_prompts_must_encode_exactly_and_answers_stream_to_their_text(TokenizerSource source)
    {
        ModelTokenizer tokenizer = TokenizerLoader.Load(SharedMaterial.Demo, source);
        GoldenCase[] cases = [.. SharedMaterial.GoldenCases("demo")];
        Assert.Equal(5, cases.Length);
        foreach (GoldenCase golden in cases)
        {
            Prompt prompt = golden.Chat
                ? new Prompt.Chat([new ChatMessage("user", golden.Prompt)])
                : new Prompt.Text(golden.Prompt);
            Assert.Equal(golden.Ids, tokenizer.Encode(prompt));
            Assert.Equal(golden.GreedyText, Stream(tokenizer, golden.GreedyIds, atTextStart: false));
        }
    }

    [Theory]
    [InlineData(TokenizerSource.Tiktoken)]
    [InlineData(TokenizerSource.TokenizerJson)]
    public void Demo_must_have_its_special_tokens(TokenizerSource source)
    {
        ModelTokenizer tokenizer = TokenizerLoader.Load(SharedMaterial.Demo, source);

        Assert.Equal(2048, tokenizer.VocabularySize);
        Assert.Equal(2032, tokenizer.StartToken);
        Assert.Equal([2033, 2037, 2038], tokenizer.EndTokens.Order());
        Assert.True(tokenizer.HasChatFormat);
        Assert.False(tokenizer.StripsLeadingSpace);
        Assert.True(tokenizer.DecodeBytes(2037).IsEmpty);
        Assert.Equal(16, tokenizer.SpecialTokens.Count);
    }

    [SharedTheory]
    [InlineData("stories260k", 1, 2, 512)]
    [InlineData("tinystories-656k", 1, 2, 2048)]
    public void SentencePiece_prompts_must_encode_exactly_and_stream_to_their_text(string model, int start, int end, int size)
    {
        ModelTokenizer tokenizer = TokenizerLoader.Load(SharedMaterial.Model(model));
        Assert.Equal(start, tokenizer.StartToken);
        Assert.Equal([end], tokenizer.EndTokens);
        Assert.Equal(size, tokenizer.VocabularySize);
        Assert.False(tokenizer.HasChatFormat);
        Assert.True(tokenizer.StripsLeadingSpace);

        foreach (GoldenCase golden in SharedMaterial.GoldenCases(model))
        {
            Assert.Equal(golden.Ids, tokenizer.Encode(new Prompt.Text(golden.Prompt)));

            // The golden text is of prompt and answer together: read as one, or as the prompt and the text that continues it.
            Assert.Equal(golden.GreedyText, Stream(tokenizer, [.. golden.Ids, .. golden.GreedyIds], atTextStart: true));
            Assert.Equal(golden.GreedyText, golden.Prompt + Stream(tokenizer, golden.GreedyIds, atTextStart: false));
        }
    }

    private static string Stream(ModelTokenizer tokenizer, IEnumerable<int> tokens, bool atTextStart)
    {
        var stream = new TextStream(tokenizer, atTextStart: atTextStart);
        var text = new StringBuilder();
        foreach (int token in tokens)
            text.Append(stream.Append(token));
        return text.Append(stream.Flush()).ToString();
    }
}
