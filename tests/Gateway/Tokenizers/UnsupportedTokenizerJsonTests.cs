using System.Text.Json.Nodes;
using Llama3Cluster.Shards.Files;

namespace Llama3Cluster.Gateway.Tests.Tokenizers;

/// <summary>What a tokenizer.json may ask for beyond the supported forms is refused by name, never approximated.</summary>
public sealed class UnsupportedTokenizerJsonTests
{
    [Theory]
    [InlineData("model.type", "\"Unigram\"", "tokenizer.json.model.type is \"Unigram\"")]
    [InlineData("model.dropout", "0.1", "tokenizer.json.model.dropout is 0.1")]
    [InlineData("model.continuing_subword_prefix", "\"##\"", "continuing_subword_prefix is \"##\"")]
    [InlineData("model.end_of_word_suffix", "\"</w>\"", "end_of_word_suffix is \"</w>\"")]
    [InlineData("model.byte_fallback", "true", "byte_fallback is true")]
    [InlineData("model.something_new", "1", "tokenizer.json.model.something_new is not supported")]
    [InlineData("something_new", "1", "tokenizer.json.something_new is not supported")]
    [InlineData("normalizer", """{ "type": "NFC" }""", "tokenizer.json.normalizer is {\"type\":\"NFC\"}")]
    [InlineData("pre_tokenizer", "null", "tokenizer.json.pre_tokenizer is null")]
    [InlineData("pre_tokenizer", """{ "type": "ByteLevel" }""", "tokenizer.json.pre_tokenizer is")]
    [InlineData("pre_tokenizer.pretokenizers.0.pattern.Regex", "\"\\\\s+\"", "pattern.Regex is \"\\\\s")]
    [InlineData("pre_tokenizer.pretokenizers.0.behavior", "\"Removed\"", "behavior is \"Removed\"")]
    [InlineData("pre_tokenizer.pretokenizers.0.invert", "true", "invert is true")]
    [InlineData("pre_tokenizer.pretokenizers.1.add_prefix_space", "true", "add_prefix_space is true")]
    [InlineData("pre_tokenizer.pretokenizers.1.use_regex", "true", "use_regex is true")]
    [InlineData("decoder", "null", "tokenizer.json.decoder is null")]
    [InlineData("decoder", """{ "type": "WordPiece" }""", "tokenizer.json.pre_tokenizer")]
    [InlineData("post_processor", """{ "type": "RobertaProcessing" }""", "tokenizer.json.post_processor is")]
    [InlineData("post_processor.processors.1.single", "[]", "single is []")]
    [InlineData("post_processor.processors.1.special_tokens.<|begin_of_text|>.ids", "[1, 2]", "ids is [1,2]")]
    [InlineData("post_processor.processors.1.special_tokens.<|begin_of_text|>.ids", "[7]", "ids[0] is 7")]
    [InlineData("model.vocab.Ā", "null", "tokenizer.json.model.vocab is null, where number is expected")]
    [InlineData("model.vocab.A new token", "2100", "the token 'A new token' (id 2100) is not in the byte-level alphabet")]
    [InlineData("model.vocab.ĀĀĀ", "7", "two tokens have the id 7")]
    [InlineData("model.merges.0", "\"x\"", "tokenizer.json.model.merges[0] is \"x\"")]
    [InlineData("model.merges.0", "[\"a\"]", "tokenizer.json.model.merges[0] is [\"a\"]")]
    [InlineData("model.merges.0", "\"q zz\"", "'q' and 'zz' make 'qzz'")]
    [InlineData("model.merges.0", "\"<|eot _id|>\"", "'<|eot' and '_id|>' make '<|eot_id|>'")]
    [InlineData("added_tokens.0.id", "\"x\"", "added_tokens[0].id is \"x\"")]
    [InlineData("added_tokens.0.content", "\"a\"", "a has the id 2032 here and")]
    [InlineData("added_tokens.0.id", "7", "<|begin_of_text|> has the id 7 of another token")]
    [InlineData("added_tokens.0.id", "-1", "token id -1 is outside 0 to 4194303")]
    public void Byte_level_files_must_say_only_what_is_understood(string path, string value, string message) =>
        AssertRefused(TestTokenizerJson.Demo(), path, value, message);

    [Theory]
    [InlineData("model.ignore_merges", "true", "ignore_merges is true")]
    [InlineData("model.unk_token", "\"<none>\"", "unk_token is \"<none>\"")]
    [InlineData("normalizer", "null", "tokenizer.json.normalizer is null")]
    [InlineData("normalizer", """{ "type": "NFKC" }""", "tokenizer.json.normalizer is")]
    [InlineData("normalizer.normalizers.0.prepend", "\"_\"", "tokenizer.json.normalizer is")]
    [InlineData("normalizer.normalizers.1.pattern", """{ "Regex": " " }""", "tokenizer.json.normalizer is")]
    [InlineData("pre_tokenizer", """{ "type": "Metaspace" }""", "tokenizer.json.normalizer is")]
    [InlineData("decoder.decoders.1.type", "\"CTC\"", "tokenizer.json.decoder is")]
    [InlineData("decoder.decoders.3.start", "2", "decoders[3] is")]
    [InlineData("decoder.decoders.3.content", "\"_\"", "decoders[3] is")]
    [InlineData("post_processor.single.1", """{ "SpecialToken": { "id": "</s>" } }""", "single is")]
    public void SentencePiece_files_must_say_only_what_is_understood(string path, string value, string message) =>
        AssertRefused(TestTokenizerJson.SentencePiece(), path, value, message);

    [Fact]
    public void Metaspace_must_not_split()
    {
        TestTokenizerJson json = TestTokenizerJson.SentencePiece();
        json.Root["normalizer"] = null;
        AssertRefused(json, "pre_tokenizer", """{ "type": "Metaspace", "replacement": "▁" }""", "pre_tokenizer.split is missing");
        AssertRefused(json, "pre_tokenizer", """{ "type": "Whitespace" }""", "tokenizer.json.pre_tokenizer is");
    }

    [Fact]
    public void Every_text_must_be_encodable()
    {
        TestTokenizerJson demo = TestTokenizerJson.Demo();
        demo.Vocabulary.Remove("Ā");
        AssertRefused(demo, "model.merges", "[]", "no token for the byte 0x00");

        TestTokenizerJson pieces = TestTokenizerJson.SentencePiece();
        pieces.Vocabulary.Remove("<0x41>");
        AssertRefused(pieces, "model.unk_token", "null", "neither an unk_token nor a token for every byte");
    }

    [Theory]
    [InlineData("lstrip")]
    [InlineData("rstrip")]
    [InlineData("single_word")]
    [InlineData("normalized")]
    public void Added_tokens_in_text_must_be_plain(string flag)
    {
        JsonObject token = TestTokenizerJson.Added(300, "<tool>", special: false);
        token[flag] = true;
        TestTokenizerJson json = TestTokenizerJson.SentencePiece();
        json.Root["added_tokens"]!.AsArray().Add(token);
        AssertRefused(json, "version", "\"1.0\"", $"added_tokens[3].{flag} is true");
    }

    private static void AssertRefused(TestTokenizerJson json, string path, string value, string message)
    {
        JsonNode node = json.Root;
        string[] names = path.Split('.');
        foreach (string name in names[..^1])
            node = (node is JsonArray array ? array[int.Parse(name, null)] : node[name])!;
        if (node is JsonArray last)
            last[int.Parse(names[^1], null)] = JsonNode.Parse(value);
        else
            node[names[^1]] = JsonNode.Parse(value);

        Assert.Contains(message, Assert.Throws<ModelFileException>(json.Load).Message, StringComparison.Ordinal);
    }
}
