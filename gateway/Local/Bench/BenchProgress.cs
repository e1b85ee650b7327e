namespace Llama3Cluster.Gateway.Local.Bench;

/// <summary>A line on the error stream that says what runs; nothing where that is not a terminal.</summary>
internal sealed class BenchProgress
{
    private const string ClearLine = "\r\e[K";

    private readonly bool _isTerminal = !Console.IsErrorRedirected;

    public void Show(string what)
    {
        if (_isTerminal)
            Console.Error.Write($"{ClearLine}{what}");
    }

    /// <summary>Makes room for a line of output.</summary>
    public void Clear()
    {
        if (_isTerminal)
            Console.Error.Write(ClearLine);
    }
}
