using System.CommandLine;
using System.Text;
using System.Text.Json;
using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Gateway.Local;
using Llama3Cluster.Gateway.Tokenizers;

namespace Llama3Cluster.Gateway.Cli;

/// <summary><c>tokenize</c>: text to ids and back.</summary>
internal static class TokenizeCommand
{
    public static Command Create()
    {
        Option<string?> model = Opt.OptionalText("--model", "The model, or the folder or file of its tokenizer. Default: the demo model.", "PATH");
        Option<bool> decode = Opt.Flag("--decode", "The other way: ids on the input, text on the output.");
        Option<bool> lines = Opt.Flag("--jsonl", "One JSON value a line: strings (or objects with \"text\") in, arrays of ids out; with --decode the reverse.");
        Option<bool> start = Opt.Flag("--start", "Put the start token before the text, as prompts have it.");
        var command = new Command("tokenize", "Read text on standard input and print its token ids.") { model, decode, lines, start };
        command.SetAction((result, cancellation) => RunAsync(
            TokenizerLoader.Load(result.GetValue(model) ?? DemoModel.Path), result.GetValue(decode), result.GetValue(lines), result.GetValue(start), cancellation));
        return command;
    }

    private static async Task<int> RunAsync(ModelTokenizer tokenizer, bool decode, bool jsonLines, bool start, CancellationToken cancellation)
    {
        var utf8 = new UTF8Encoding(false, throwOnInvalidBytes: true);
        using var input = new StreamReader(Console.OpenStandardInput(), utf8);
        await using var output = new StreamWriter(Console.OpenStandardOutput(), utf8);
        if (jsonLines)
        {
            while (await input.ReadLineAsync(cancellation).ConfigureAwait(false) is { } line)
                await output.WriteLineAsync(decode ? DecodeLine(tokenizer, line) : EncodeLine(tokenizer, line, start)).ConfigureAwait(false);
            return 0;
        }

        string all = await input.ReadToEndAsync(cancellation).ConfigureAwait(false);
        if (decode)
            await output.WriteAsync(Decode(tokenizer, Ids(all))).ConfigureAwait(false);
        else
            await output.WriteLineAsync(string.Join(' ', Encode(tokenizer, all, start))).ConfigureAwait(false);
        return 0;
    }

    private static string EncodeLine(ModelTokenizer tokenizer, string line, bool start)
    {
        using JsonDocument document = JsonDocument.Parse(line);
        JsonElement value = document.RootElement;
        string text = value.ValueKind == JsonValueKind.Object ? value.GetProperty("text").GetString()! : value.GetString()!;
        return JsonSerializer.Serialize(Encode(tokenizer, text, start));
    }

    private static string DecodeLine(ModelTokenizer tokenizer, string line)
    {
        using JsonDocument document = JsonDocument.Parse(line);
        JsonElement value = document.RootElement;
        JsonElement ids = value.ValueKind == JsonValueKind.Object ? value.GetProperty("ids") : value;
        return JsonSerializer.Serialize(Decode(tokenizer, ids.EnumerateArray().Select(id => id.GetInt32())));
    }

    private static int[] Encode(ModelTokenizer tokenizer, string text, bool start) =>
        start ? tokenizer.Encode(new Prompt.Text(text)) : tokenizer.EncodeText(text);

    private static string Decode(ModelTokenizer tokenizer, IEnumerable<int> ids)
    {
        var stream = new TextStream(tokenizer, atTextStart: true);
        var text = new StringBuilder();
        foreach (int id in ids)
            text.Append(stream.Append(id));
        return text.Append(stream.Flush()).ToString();
    }

    private static int[] Ids(string text)
    {
        var ids = new List<int>();
        foreach (string part in text.Split([' ', '\n', '\r', '\t', ',', '[', ']'], StringSplitOptions.RemoveEmptyEntries))
        {
            if (!int.TryParse(part, out int id))
                throw new UsageException($"\"{part}\" is not a token id; --decode reads whole numbers separated by spaces or commas");
            ids.Add(id);
        }

        return [.. ids];
    }
}
