using Llama3Cluster.Gateway.Tokenizers.Files;
using Llama3Cluster.Shards.Files;

namespace Llama3Cluster.Gateway.Tokenizers;

/// <summary>Finds and reads the tokenizer of a model.</summary>
public static class TokenizerLoader
{
    /// <summary>
    /// Loads the tokenizer that lies with a model: tokenizer.model if it is in tiktoken's form, else tokenizer.json.
    /// </summary>
    /// <param name="modelPath">The model's folder, or a file in it.</param>
    /// <exception cref="ModelFileException">There is none, or it cannot be used; the message says what was looked for.</exception>
    public static ModelTokenizer Load(string modelPath)
    {
        string folder = FolderOf(modelPath);
        string tiktoken = Path.Combine(folder, TiktokenFile.Name);
        bool tiktokenPresent = File.Exists(tiktoken);
        if (tiktokenPresent && TiktokenFile.IsTiktoken(tiktoken))
            return Load(modelPath, TokenizerSource.Tiktoken);
        if (File.Exists(Path.Combine(folder, TokenizerJsonFile.Name)))
            return Load(modelPath, TokenizerSource.TokenizerJson);

        throw new ModelFileException(tiktokenPresent
            ? $"{tiktoken} is in SentencePiece's form, which is not read; put the model's {TokenizerJsonFile.Name} beside it."
            : $"{folder} has no tokenizer: neither {TiktokenFile.Name} nor {TokenizerJsonFile.Name} is there.");
    }

    /// <summary>Loads the tokenizer from one kind of file.</summary>
    /// <param name="modelPath">The model's folder, or a file in it.</param>
    /// <param name="source">The kind of file.</param>
    /// <exception cref="ModelFileException">It is not there, or cannot be used.</exception>
    public static ModelTokenizer Load(string modelPath, TokenizerSource source)
    {
        string folder = FolderOf(modelPath);
        return source switch
        {
            TokenizerSource.Tiktoken => TiktokenFile.Load(Path.Combine(folder, TiktokenFile.Name)),
            TokenizerSource.TokenizerJson => TokenizerJsonFile.Load(Path.Combine(folder, TokenizerJsonFile.Name)),
            _ => throw new ArgumentOutOfRangeException(nameof(source), source, null),
        };
    }

    private static string FolderOf(string modelPath)
    {
        ArgumentException.ThrowIfNullOrEmpty(modelPath);
        if (Directory.Exists(modelPath))
            return modelPath;
        return File.Exists(modelPath)
            ? Path.GetDirectoryName(Path.GetFullPath(modelPath))!
            : throw new ModelFileException($"{modelPath} does not exist.");
    }
}
