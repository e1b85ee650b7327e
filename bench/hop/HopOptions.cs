using System.Globalization;

namespace Llama3Cluster.Hop;

/// <summary>What to measure.</summary>
internal sealed record HopOptions
{
    public const string Usage = """
        usage: bench/hop/run [options]

        Measures what a hop between two stages costs: frames go to and fro over two links on loopback, and the same number of bytes over
        a bare socket, in turns. Prints round trips and the ratio of the link to the socket.

          --sizes N,N…    payload bytes (default 16384,8388608)
          --rounds N      turns of each (default 9)
          --seconds S     about how long a turn lasts (default 0.5)
          --out FILE      write the table there as well
        """;

    public IReadOnlyList<int> Sizes { get; init; } = [16 << 10, 8 << 20];

    public int Rounds { get; init; } = 9;

    public double Seconds { get; init; } = 0.5;

    public string? Out { get; init; }

    /// <summary>Reads the command line.</summary>
    /// <exception cref="ArgumentException">It makes no sense; the message says what would.</exception>
    public static HopOptions Parse(string[] arguments)
    {
        var options = new HopOptions();
        for (int i = 0; i < arguments.Length; i += 2)
        {
            string name = arguments[i];
            string value = i + 1 < arguments.Length ? arguments[i + 1] : throw new ArgumentException($"{name} takes a value; see --help");
            options = name switch
            {
                "--sizes" => options with { Sizes = [.. value.Split(',').Select(size => Number(name, size, 1 << 28))] },
                "--rounds" => options with { Rounds = Number(name, value, 1000) },
                "--seconds" => options with { Seconds = Duration(name, value) },
                "--out" => options with { Out = value },
                _ => throw new ArgumentException($"unknown option {name}; see --help"),
            };
        }

        return options;
    }

    private static int Number(string name, string value, int most) =>
        int.TryParse(value, CultureInfo.InvariantCulture, out int number) && number >= 1 && number <= most
            ? number
            : throw new ArgumentException($"{name} takes whole numbers from 1 to {most}, not \"{value}\"");

    private static double Duration(string name, string value) =>
        double.TryParse(value, CultureInfo.InvariantCulture, out double seconds) && seconds is > 0 and <= 600
            ? seconds
            : throw new ArgumentException($"{name} takes seconds up to 600, not \"{value}\"");
}
