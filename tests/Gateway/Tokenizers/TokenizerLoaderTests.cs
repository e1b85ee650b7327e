using Llama3Cluster.Gateway.Tokenizers;
using Llama3Cluster.Shards.Files;

namespace Llama3Cluster.Gateway.Tests.Tokenizers;

/// <summary>Which files are used, and what is said of those that are missing or broken.</summary>
public sealed class TokenizerLoaderTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_file_of_the_model_must_lead_to_the_tokenizer_beside_it()
    {
        ModelTokenizer tokenizer = TokenizerLoader.Load(Path.Combine(SharedMaterial.Demo, "model.safetensors"));
        Assert.Equal(2048, tokenizer.VocabularySize);
    }

    [Fact]
    public void The_ranks_must_come_before_tokenizer_json()
    {
        Copy("tokenizer.model");
        File.WriteAllText(_folder.File("tokenizer.json"), "broken");

        Assert.Contains("<|reserved_special_token_247|>", TokenizerLoader.Load(_folder.Path).SpecialTokens.Keys);
        AssertError("not valid JSON", () => TokenizerLoader.Load(_folder.Path, TokenizerSource.TokenizerJson));
    }

    /// <summary>Llama 2's folders have a SentencePiece model under the same name.</summary>
    [Fact]
    public void A_SentencePiece_model_must_be_passed_over_for_tokenizer_json()
    {
        File.WriteAllBytes(_folder.File("tokenizer.model"), [0x0A, 0x0E, 0x0A, 0x05, .. "<unk>"u8]);
        AssertError("SentencePiece", () => TokenizerLoader.Load(_folder.Path));

        Copy("tokenizer.json");
        Assert.Equal(2048, TokenizerLoader.Load(_folder.Path).VocabularySize);
    }

    [Fact]
    public void Missing_files_must_be_named()
    {
        AssertError("there is neither tokenizer.model nor tokenizer.json", () => TokenizerLoader.Load(_folder.Path));
        AssertError("no file or folder", () => TokenizerLoader.Load(_folder.File("none.gguf")));
        AssertError("tokenizer.json cannot be read", () => TokenizerLoader.Load(_folder.Path, TokenizerSource.TokenizerJson));
        AssertError("tokenizer.model cannot be read", () => TokenizerLoader.Load(_folder.Path, TokenizerSource.Tiktoken));
        AssertError("is not a GGUF file", () => TokenizerLoader.Load(SharedMaterial.Demo, TokenizerSource.Gguf));
    }

    [Fact]
    public void End_tokens_must_come_from_every_file_that_names_them()
    {
        Copy("tokenizer.json");
        Assert.Equal([2033, 2037, 2038], TokenizerLoader.Load(_folder.Path).EndTokens.Order());

        File.WriteAllText(_folder.File("config.json"), """{ "eos_token_id": 7 }""");
        File.WriteAllText(_folder.File("generation_config.json"), """{ "eos_token_id": [8, 9] }""");
        File.WriteAllText(_folder.File("tokenizer_config.json"), """{ "eos_token": "<|python_tag|>" }""");
        Assert.Equal([7, 8, 9, 2033, 2037, 2038, 2039], TokenizerLoader.Load(_folder.Path).EndTokens.Order());
    }

    [Theory]
    [InlineData("""{ "eos_token_id": 2048 }""", "config.json.eos_token_id is 2048, which is outside the vocabulary, 0 to 2047")]
    [InlineData("""{ "eos_token_id": [1, -1] }""", "config.json.eos_token_id[1] is -1, which is outside")]
    [InlineData("""{ "eos_token_id": "x" }""", "config.json.eos_token_id is \"x\", where number is expected")]
    [InlineData("""{ "eos_token_id": 1e99 }""", "config.json.eos_token_id is 1e99, where a 32-bit integer is expected")]
    [InlineData("[]", "config.json is [], where object is expected")]
    public void Bad_end_tokens_must_be_refused(string config, string message)
    {
        Copy("tokenizer.json");
        File.WriteAllText(_folder.File("config.json"), config);
        AssertError(message, () => TokenizerLoader.Load(_folder.Path));
    }

    [Theory]
    [InlineData("AA== 0\nAQ== 2\n", "line 2 has the rank '2', where 1 is expected")]
    [InlineData("AA== 0\nAQ== \n", "line 2 has the rank '', where 1 is expected")]
    [InlineData("AA== 0\nAQ==\n", "line 2 is not a token in Base64, a space and its rank")]
    [InlineData("AA== 0\n\nAQ== 1\n", "line 2 is not a token in Base64, a space and its rank")]
    [InlineData("AA== 0\nA!== 1\n", "line 2 has a token that is not Base64")]
    [InlineData("AA== 0\nA\tQ== 1\n", "line 2 has a token that is not Base64")]
    [InlineData("AA== 0\nAA== 1\n", "rank 1 has another rank too")]
    [InlineData("AA== 0\nAQ== 1\n", "no token for the byte 0x02")]
    [InlineData("", "no token for the byte 0x00")]
    public void Bad_ranks_must_be_refused(string file, string message)
    {
        File.WriteAllText(_folder.File("tokenizer.model"), file);
        AssertError(message, () => TokenizerLoader.Load(_folder.Path));
    }

    [Fact]
    public void Tokens_of_absurd_length_must_be_refused()
    {
        File.WriteAllText(_folder.File("tokenizer.model"), Convert.ToBase64String(new byte[1025]) + " 0\n");
        AssertError("line 1 has a token of 1025 bytes; one has 1 to 1024", () => TokenizerLoader.Load(_folder.Path));
    }

    [Theory]
    [InlineData("""{ "added_tokens_decoder": { "2000": { "content": "<x>", "special": true } } }""", "the id 2000 of another")]
    [InlineData("""{ "added_tokens_decoder": { "4194304": { "content": "<x>" } } }""", "4194304 is outside 0 to 4194303")]
    [InlineData("""{ "added_tokens_decoder": { "x": { "content": "<x>" } } }""", "the token id 'x', which is no number")]
    [InlineData("""{ "added_tokens_decoder": { "2040": { "content": "" } } }""", "is an empty token")]
    [InlineData("""{ "bos_token": "<s>" }""", "the start token <s> is not among the special tokens")]
    [InlineData("""{ "bos_token": 1 }""", "tokenizer_config.json.bos_token is 1, where string is expected")]
    [InlineData("""{ "a": 1, "a": 2 }""", "tokenizer_config.json is not valid JSON")]
    public void Bad_configs_must_be_refused(string config, string message)
    {
        Copy("tokenizer.model");
        File.WriteAllText(_folder.File("tokenizer_config.json"), config);
        AssertError(message, () => TokenizerLoader.Load(_folder.Path));
    }

    /// <summary>Whatever a file says of it, the end of a turn is never found in text.</summary>
    [Fact]
    public void Control_tokens_must_be_special_even_if_the_file_denies_it()
    {
        TestTokenizerJson json = TestTokenizerJson.Demo();
        foreach (var token in json.Root["added_tokens"]!.AsArray())
            token!["special"] = false;

        ModelTokenizer tokenizer = json.Load();

        Assert.True(tokenizer.HasChatFormat);
        Assert.DoesNotContain(2037, tokenizer.EncodeText("<|eot_id|>"));
        Assert.Contains(2039, tokenizer.EncodeText("<|python_tag|>"));
    }

    private void Copy(string name) => File.Copy(Path.Combine(SharedMaterial.Demo, name), _folder.File(name));

    private static void AssertError(string part, Action load) =>
        Assert.Contains(part, Assert.Throws<ModelFileException>(load).Message, StringComparison.Ordinal);
}
