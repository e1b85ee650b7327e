using System.Text;
using Llama3Cluster.Gateway.Tokenizers.Bpe;

namespace Llama3Cluster.Gateway.Tokenizers.Files;

/// <summary>
/// Hugging Face's tokenizer.json: a pipeline that a file is free to compose. Two compositions make up the Llama models and are
/// understood: byte-level BPE with Llama 3's split, and SentencePiece's BPE. Anything else is refused by name rather than
/// approximated. The batch settings <c>truncation</c> and <c>padding</c> are the trainer's and have no part in encoding a prompt.
/// </summary>
internal static class TokenizerJsonFile
{
    /// <summary>The file's name.</summary>
    public const string Name = "tokenizer.json";

    /// <summary>Loads the file of a model's folder.</summary>
    public static ModelTokenizer Load(string path)
    {
        using JsonFile file = JsonFile.Open(path);
        string folder = Path.GetDirectoryName(Path.GetFullPath(path))!;
        TokenizerConfigFile config = TokenizerConfigFile.Read(folder);
        return Create(
            file.Root,
            vocabulary => config is { AddStartToken: true, StartToken: { } name } ? vocabulary.RequireSpecial(name, TokenizerConfigFile.Name) : null,
            vocabulary => EndTokens.Collect(folder, vocabulary, config.EndToken));
    }

    /// <summary>Loads the file that a GGUF file brings along.</summary>
    public static ModelTokenizer Load(GgufVocabulary gguf)
    {
        using JsonFile file = JsonFile.Parse(Encoding.UTF8.GetBytes(gguf.HuggingFaceJson!), $"{gguf.Source}: {Name}");
        return Create(
            file.Root,
            vocabulary => gguf.AddBosToken ? GgufTokenizer.RequireToken(gguf, gguf.BosToken, vocabulary, "bos_token_id") : null,
            vocabulary => GgufTokenizer.EndTokensOf(gguf, vocabulary));
    }

    private static ModelTokenizer Create(JsonValue root, Func<Vocabulary, int?> startOf, Func<Vocabulary, HashSet<int>> endsOf)
    {
        root.AllowOnly(
            "version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer", "post_processor", "decoder",
            "model");
        var model = TokenizerJsonModel.Read(root);
        TokenizerJsonPipeline pipeline = TokenizerJsonPipeline.Read(root);
        (Vocabulary vocabulary, ITextEncoder encoder) = pipeline.ByteLevel ? model.ByteLevel() : model.SentencePiece(pipeline);

        int? start = TokenizerJsonTemplate.StartToken(root["post_processor"], vocabulary);
        if (root["post_processor"].IsNull)
            start = startOf(vocabulary);
        return new ModelTokenizer(vocabulary, encoder, new TokenizerTraits(start, endsOf(vocabulary), pipeline.StripsLeadingSpace));
    }
}
