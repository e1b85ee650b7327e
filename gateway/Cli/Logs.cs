using Microsoft.Extensions.Logging.Console;

namespace Llama3Cluster.Gateway.Cli;

/// <summary>What long-running commands log: one line an event, on the error stream.</summary>
internal static class Logs
{
    public static void AddTo(ILoggingBuilder logging)
    {
        logging.ClearProviders();
        logging.AddSimpleConsole(console =>
        {
            console.SingleLine = true;
            console.TimestampFormat = "HH:mm:ss.fff ";
            console.ColorBehavior = LoggerColorBehavior.Default;
        });
        logging.Services.Configure<ConsoleLoggerOptions>(console => console.LogToStandardErrorThreshold = LogLevel.Trace);
        logging.SetMinimumLevel(LogLevel.Information);
        // The frameworks' own news interests only who asks for it; warnings come through.
        logging.AddFilter("Microsoft", LogLevel.Warning);
        logging.AddFilter("Microsoft.Extensions.Hosting", LogLevel.None); // a failed start is printed once, as an error
        logging.AddFilter("Akka", LogLevel.Warning);
        logging.AddFilter("Akka.Cluster.SBR", LogLevel.Information);
    }
}
