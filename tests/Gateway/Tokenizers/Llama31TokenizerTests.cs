using System.Text;
using System.Text.Json;
using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Gateway.Tokenizers;

namespace Llama3Cluster.Gateway.Tests.Tokenizers;

/// <summary>Llama 3.1's vocabulary from both of its files, against ids that tiktoken gave.</summary>
public sealed class Llama31TokenizerTests(Llama31Tokenizers tokenizers) : IClassFixture<Llama31Tokenizers>
{
    [SharedTheory]
    [InlineData(TokenizerSource.Tiktoken)]
    [InlineData(TokenizerSource.TokenizerJson)]
    public void Golden_rows_must_encode_exactly_and_decode_to_their_text(TokenizerSource source)
    {
        ModelTokenizer tokenizer = tokenizers[source];
        int rows = 0;
        var specialText = new SpecialTokenText(tokenizer);
        foreach ((string text, int[] ids, int[] special) in GoldenRows())
        {
            int[] encoded = tokenizer.EncodeText(text);
            Assert.True(ids.AsSpan().SequenceEqual(encoded), $"{JsonSerializer.Serialize(text)}: {string.Join(',', encoded)}");
            byte[] decoded = [.. ids.SelectMany(id => tokenizer.DecodeBytes(id).ToArray())];
            Assert.Equal(Encoding.UTF8.GetBytes(text), decoded);
            Assert.Equal(text, TextStream.Decode(tokenizer, ids));
            Assert.Equal(special, specialText.Encode(text));
            Assert.Equal(text, specialText.Decode(special));
            rows++;
        }

        Assert.Equal(385, rows);
    }

    [SharedFact]
    public void Both_files_must_agree_on_everything()
    {
        ModelTokenizer model = tokenizers[TokenizerSource.Tiktoken];
        ModelTokenizer json = tokenizers[TokenizerSource.TokenizerJson];

        Assert.Equal(128256, model.VocabularySize);
        Assert.Equal(model.VocabularySize, json.VocabularySize);
        Assert.Equal(128000, model.StartToken);
        Assert.Equal(model.StartToken, json.StartToken);
        Assert.Equal([128001, 128008, 128009], model.EndTokens.Order());
        Assert.Equal(model.EndTokens.Order(), json.EndTokens.Order());
        Assert.Equal(model.SpecialTokens.OrderBy(token => token.Value), json.SpecialTokens.OrderBy(token => token.Value));
        for (int token = 0; token < model.VocabularySize; token++)
            Assert.True(model.DecodeBytes(token).Span.SequenceEqual(json.DecodeBytes(token).Span), $"token {token}");
    }

    /// <summary>tokenizer.model goes through Microsoft.ML.Tokenizers' merges, tokenizer.json through the project's own.</summary>
    [SharedFact]
    public void Both_merge_steps_must_agree_on_random_text()
    {
        var random = new Random(20240723);
        for (int round = 0; round < 3000; round++)
        {
            string text = RandomText.Create(random, random.Next(1, 120));
            AssertSame(text);
        }
    }

    /// <summary>The length at which tokenizer.model changes from the library's merges to the project's own.</summary>
    [SharedTheory]
    [InlineData("a")]
    [InlineData("ab")]
    [InlineData(" ")]
    [InlineData("=")]
    [InlineData("\n")]
    [InlineData("é漢")]
    public void Long_pre_tokens_must_encode_as_short_ones_do(string unit)
    {
        for (int length = 100; length < 160; length++)
        {
            string text = string.Concat(Enumerable.Repeat(unit, length));
            AssertSame(text);
        }
    }

    [SharedFact]
    public async Task A_megabyte_of_one_letter_must_not_take_quadratic_time()
    {
        string text = new('a', 1_000_000);
        foreach (TokenizerSource source in (TokenizerSource[])[TokenizerSource.Tiktoken, TokenizerSource.TokenizerJson])
        {
            ModelTokenizer tokenizer = tokenizers[source];
            int[] tokens = await Task.Run(() => tokenizer.EncodeText(text)).WaitAsync(TimeSpan.FromSeconds(60));
            Assert.Equal(Enumerable.Repeat(70540, 125_000), tokens);
        }
    }

    /// <summary>Some tokens are reached by no merge: only because a pre-token that is a token needs none.</summary>
    [SharedTheory]
    [InlineData(TokenizerSource.Tiktoken)]
    [InlineData(TokenizerSource.TokenizerJson)]
    public void Whole_pre_tokens_must_need_no_merges(TokenizerSource source)
    {
        Assert.Equal([100769], tokenizers[source].EncodeText(" việc"));
        Assert.Equal([101309], tokenizers[source].EncodeText(" điều"));
    }

    [SharedFact]
    public void Meta_names_must_serve_when_no_config_lies_beside_the_ranks()
    {
        using var folder = new TemporaryFolder();
        File.Copy(Path.Combine(SharedMaterial.Llama31, "tokenizer.model"), folder.File("tokenizer.model"));

        ModelTokenizer bare = TokenizerLoader.Load(folder.Path);

        Assert.Equal(
            tokenizers[TokenizerSource.Tiktoken].SpecialTokens.OrderBy(token => token.Value),
            bare.SpecialTokens.OrderBy(token => token.Value));
        Assert.Equal(128000, bare.StartToken);
    }

    /// <summary>The golden row of a chat with one message, which spells it out.</summary>
    [SharedTheory]
    [InlineData(TokenizerSource.Tiktoken)]
    [InlineData(TokenizerSource.TokenizerJson)]
    public void Chats_must_be_framed_as_the_golden_row_is(TokenizerSource source) =>
        Assert.Equal(
            [128000, 128006, 882, 128007, 271, 9906, 128009, 128006, 78191, 128007, 271],
            tokenizers[source].Encode(new Prompt.Chat([new ChatMessage("user", "Hello")])));

    private void AssertSame(string text) =>
        Assert.Equal(
            tokenizers[TokenizerSource.Tiktoken].EncodeText(text), tokenizers[TokenizerSource.TokenizerJson].EncodeText(text));

    private static IEnumerable<(string Text, int[] Ids, int[] Special)> GoldenRows()
    {
        foreach (string line in File.ReadLines(Path.Combine(SharedMaterial.Llama31, "golden.jsonl")))
        {
            using JsonDocument row = JsonDocument.Parse(line);
            JsonElement ids = row.RootElement.TryGetProperty("ids_ordinary", out JsonElement ordinary)
                ? ordinary
                : row.RootElement.GetProperty("ids");
            yield return (row.RootElement.GetProperty("text").GetString()!, SharedMaterial.Ids(ids), SharedMaterial.Ids(row.RootElement.GetProperty("ids")));
        }
    }
}

/// <summary>Loads each file once for all tests.</summary>
public sealed class Llama31Tokenizers
{
    private readonly Dictionary<TokenizerSource, ModelTokenizer> _loaded = [];

    /// <summary>The tokenizer from one of the files.</summary>
    public ModelTokenizer this[TokenizerSource source]
    {
        get
        {
            if (!_loaded.TryGetValue(source, out ModelTokenizer? tokenizer))
                _loaded.Add(source, tokenizer = TokenizerLoader.Load(SharedMaterial.Llama31, source));
            return tokenizer;
        }
    }
}
