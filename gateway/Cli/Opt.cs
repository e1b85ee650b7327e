using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using System.Net;

namespace Llama3Cluster.Gateway.Cli;

/// <summary>Makes options that fall back to <see cref="Settings"/> and whose errors say what was expected.</summary>
internal static class Opt
{
    private delegate bool Parser<T>(string text, out T value);

    public static Option<string> Text(string name, string fallback, string description, string? helpName = null) => new(name)
    {
        Description = description,
        HelpName = helpName,
        DefaultValueFactory = _ => Settings.Find(name) ?? fallback,
    };

    public static Option<string?> OptionalText(string name, string description, string? helpName = null) => new(name)
    {
        Description = description,
        HelpName = helpName,
        DefaultValueFactory = _ => Settings.Find(name),
    };

    public static Option<string> Choice(string name, string fallback, string description, params string[] choices)
    {
        Option<string> option = Text(name, fallback, description, string.Join('|', choices));
        option.AcceptOnlyFromAmong(choices);
        return option;
    }

    public static Option<int> Number(string name, int fallback, int least, int most, string description) =>
        Parsed(name, description, "N", $"a whole number from {least} to {most}", fallback.ToString(CultureInfo.InvariantCulture), (string text, out int value) =>
            int.TryParse(text, NumberStyles.Integer, CultureInfo.InvariantCulture, out value) && value >= least && value <= most);

    public static Option<int?> OptionalNumber(string name, int least, int most, string description) =>
        Parsed(name, description, "N", $"a whole number from {least} to {most}", null, (string text, out int? value) =>
        {
            bool good = int.TryParse(text, NumberStyles.Integer, CultureInfo.InvariantCulture, out int number) && number >= least && number <= most;
            value = number;
            return good;
        });

    public static Option<float> Real(string name, float fallback, float least, float most, string description) =>
        Parsed(name, description, "X", $"a number from {least} to {most}", fallback.ToString(CultureInfo.InvariantCulture), (string text, out float value) =>
            float.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out value) && value >= least && value <= most);

    public static Option<ulong> Seed(string name, string description) =>
        Parsed(name, description, "N", "a whole number from 0", "0", (string text, out ulong value) =>
            ulong.TryParse(text, NumberStyles.Integer, CultureInfo.InvariantCulture, out value));

    public static Option<IPEndPoint> Endpoint(string name, string fallback, string description) =>
        Parsed(name, description, "HOST:PORT", "an address and port such as 127.0.0.1:8080", fallback, (string text, out IPEndPoint value) =>
        {
            bool good = IPEndPoint.TryParse(text.Replace("localhost", "127.0.0.1", StringComparison.OrdinalIgnoreCase), out IPEndPoint? endpoint)
                && text.Contains(':', StringComparison.Ordinal);
            value = endpoint ?? new IPEndPoint(IPAddress.Loopback, 0);
            return good;
        });

    public static Option<IPEndPoint?> OptionalEndpoint(string name, string description) =>
        Parsed(name, description, "HOST:PORT", "an address and port such as 192.168.1.5:9090", null, (string text, out IPEndPoint? value) =>
            IPEndPoint.TryParse(text, out value) && text.Contains(':', StringComparison.Ordinal));

    public static Option<long?> Bytes(string name, string description) =>
        Parsed(name, description, "SIZE", "a size such as 24GiB, 512MiB or 1000000", null, (string text, out long? value) =>
        {
            bool good = ByteSizeParser.TryParse(text, out long bytes);
            value = bytes;
            return good;
        });

    public static Option<IReadOnlyList<int>> Numbers(string name, string fallback, string description) =>
        Parsed(name, description, "N,N…", "whole numbers separated by commas", fallback, (string text, out IReadOnlyList<int> value) =>
        {
            string[] parts = text.Split([',', ' '], StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
            var numbers = new List<int>(parts.Length);
            value = numbers;
            foreach (string part in parts)
            {
                if (!int.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture, out int number))
                    return false;
                numbers.Add(number);
            }

            return numbers.Count > 0;
        });

    public static Option<string[]> Repeated(string name, string description, string helpName) => new(name)
    {
        Description = description,
        HelpName = helpName,
        AllowMultipleArgumentsPerToken = true,
        DefaultValueFactory = _ => Settings.Find(name)?.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries) ?? [],
    };

    public static Option<bool> Flag(string name, string description) => new(name)
    {
        Description = description,
        DefaultValueFactory = _ => Settings.Find(name) is "1" or "true" or "yes",
    };

    private static Option<T> Parsed<T>(string name, string description, string helpName, string expected, string? fallback, Parser<T> parser)
    {
        T Parse(string text)
        {
            return parser(text, out T value) ? value : throw new UsageException($"{name} takes {expected}, not \"{text}\"");
        }

        return new Option<T>(name)
        {
            Description = description,
            HelpName = helpName,
            DefaultValueFactory = _ => (Settings.Find(name) ?? fallback) is { } text ? Parse(text) : default!,
            CustomParser = result => Convert(result, expected, parser),
        };
    }

    private static T Convert<T>(ArgumentResult result, string expected, Parser<T> parser)
    {
        string text = result.Tokens.Count > 0 ? result.Tokens[^1].Value : "";
        if (parser(text, out T value))
            return value;
        result.AddError($"{(result.Parent as OptionResult)?.Option.Name} takes {expected}, not \"{text}\"");
        return default!;
    }
}
