using Llama3Cluster.Gateway.Tokenizers.Files;
using Llama3Cluster.Shards.Files;
using Llama3Cluster.Shards.Files.Gguf;

namespace Llama3Cluster.Gateway.Tokenizers;

/// <summary>Finds and reads the tokenizer of a model.</summary>
public static class TokenizerLoader
{
    /// <summary>
    /// Loads the tokenizer of a model: a GGUF file's own vocabulary; beside other files tokenizer.model if it is in tiktoken's
    /// form, else tokenizer.json.
    /// </summary>
    /// <param name="modelPath">The model's folder, or a file in it.</param>
    /// <exception cref="ModelFileException">There is none, of what was looked for, or it cannot be used.</exception>
    public static ModelTokenizer Load(string modelPath)
    {
        string folder = FolderOf(modelPath);
        bool gguf = IsGguf(modelPath);
        if (gguf && ReadGguf(modelPath) is { } vocabulary)
            return Load(vocabulary);

        string tiktoken = Path.Combine(folder, TiktokenFile.Name);
        bool tiktokenPresent = File.Exists(tiktoken);
        if (tiktokenPresent && TiktokenFile.IsTiktoken(tiktoken))
            return TiktokenFile.Load(tiktoken);

        string json = Path.Combine(folder, TokenizerJsonFile.Name);
        if (File.Exists(json))
            return TokenizerJsonFile.Load(json);

        throw new ModelFileException(tiktokenPresent
            ? $"{tiktoken} is in SentencePiece's form, which is not read; put the model's {TokenizerJsonFile.Name} beside it"
            : (gguf ? $"{modelPath} has no vocabulary, and " : "")
                + $"{folder} has no tokenizer: there is neither {TiktokenFile.Name} nor {TokenizerJsonFile.Name}");
    }

    /// <summary>Loads the tokenizer from one kind of file.</summary>
    /// <param name="modelPath">The model's folder or a file in it; for a GGUF vocabulary its file.</param>
    /// <param name="source">The kind of file.</param>
    /// <exception cref="ModelFileException">It is not there, or cannot be used.</exception>
    public static ModelTokenizer Load(string modelPath, TokenizerSource source) => source switch
    {
        TokenizerSource.Tiktoken => TiktokenFile.Load(Path.Combine(FolderOf(modelPath), TiktokenFile.Name)),
        TokenizerSource.TokenizerJson => TokenizerJsonFile.Load(Path.Combine(FolderOf(modelPath), TokenizerJsonFile.Name)),
        TokenizerSource.Gguf => Load(ReadGguf(modelPath) ?? throw new ModelFileException($"{modelPath} has no vocabulary")),
        _ => throw new ArgumentOutOfRangeException(nameof(source), source, null),
    };

    /// <summary>Makes a tokenizer of a GGUF vocabulary.</summary>
    /// <exception cref="ModelFileException">It cannot be used.</exception>
    public static ModelTokenizer Load(GgufVocabulary vocabulary)
    {
        ArgumentNullException.ThrowIfNull(vocabulary);
        return vocabulary.HuggingFaceJson is null ? GgufTokenizer.Create(vocabulary) : TokenizerJsonFile.Load(vocabulary);
    }

    /// <summary>Download caches keep GGUF files under a digest without an extension, so the magic decides.</summary>
    private static bool IsGguf(string path) => File.Exists(path) && BoundedFile.StartsWith(path, "GGUF"u8.ToArray());

    private static GgufVocabulary? ReadGguf(string path)
    {
        using ModelFile file = ModelFile.Open(path);
        return file is GgufFile gguf
            ? GgufVocabulary.Read(Path.GetFileName(path), gguf.Metadata)
            : throw new ModelFileException($"{path} is not a GGUF file");
    }

    /// <summary>The folder in which a model's files lie.</summary>
    internal static string FolderOf(string modelPath)
    {
        ArgumentException.ThrowIfNullOrEmpty(modelPath);
        if (Directory.Exists(modelPath))
            return modelPath;
        return File.Exists(modelPath)
            ? Path.GetDirectoryName(Path.GetFullPath(modelPath))!
            : throw new ModelFileException($"there is no file or folder {modelPath}");
    }
}
