using System.CommandLine;
using System.Text;
using System.Text.Json;
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
        Option<bool> plain = Opt.Flag("--plain", "Take the names of special tokens as plain text, as prompts do. Otherwise <|eot_id|> is that token.");
        Option<bool> start = Opt.Flag("--start", "Put the start token before the text, as prompts have it.");
        var command = new Command("tokenize", "Read text on standard input and print its token ids.") { model, decode, lines, plain, start };
        command.SetAction((result, cancellation) =>
        {
            ModelTokenizer tokenizer = TokenizerLoader.Load(result.GetValue(model) ?? DemoModel.Path);
            var special = new SpecialTokenText(tokenizer);
            int[] first = result.GetValue(start) && tokenizer.StartToken is { } token ? [token] : [];
            bool asText = result.GetValue(plain);
            return RunAsync(
                text => [.. first, .. asText ? tokenizer.EncodeText(text) : special.Encode(text)], special.Decode, result.GetValue(decode),
                result.GetValue(lines), cancellation);
        });
        return command;
    }

    private static async Task<int> RunAsync(
        Func<string, int[]> encode, Func<IEnumerable<int>, string> decode, bool decodes, bool jsonLines, CancellationToken cancellation)
    {
        var utf8 = new UTF8Encoding(false, throwOnInvalidBytes: true);
        using var input = new StreamReader(Console.OpenStandardInput(), utf8);
        await using var output = new StreamWriter(Console.OpenStandardOutput(), utf8);
        if (jsonLines)
        {
            while (await input.ReadLineAsync(cancellation).ConfigureAwait(false) is { } line)
                await output.WriteLineAsync(decodes ? DecodeLine(decode, line) : EncodeLine(encode, line)).ConfigureAwait(false);
            return 0;
        }

        string all = await input.ReadToEndAsync(cancellation).ConfigureAwait(false);
        if (decodes)
            await output.WriteAsync(decode(Ids(all))).ConfigureAwait(false);
        else
            await output.WriteLineAsync(string.Join(' ', encode(all))).ConfigureAwait(false);
        return 0;
    }

    private static string EncodeLine(Func<string, int[]> encode, string line)
    {
        using JsonDocument document = JsonDocument.Parse(line);
        JsonElement value = document.RootElement;
        string text = value.ValueKind == JsonValueKind.Object ? value.GetProperty("text").GetString()! : value.GetString()!;
        return JsonSerializer.Serialize(encode(text));
    }

    private static string DecodeLine(Func<IEnumerable<int>, string> decode, string line)
    {
        using JsonDocument document = JsonDocument.Parse(line);
        JsonElement value = document.RootElement;
        JsonElement ids = value.ValueKind == JsonValueKind.Object ? value.GetProperty("ids") : value;
        return JsonSerializer.Serialize(decode(ids.EnumerateArray().Select(id => id.GetInt32())));
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
