using System.Globalization;
using System.Net;
using Llama3Cluster.Actors.Inference;

namespace Llama3Cluster.Gateway.Cli;

/// <summary>Tells on the terminal how the pipeline comes up, and when it answers.</summary>
internal sealed class ReadinessReport(IInferenceService service, ReadinessReport.Endpoints endpoints) : BackgroundService
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan Quiet = TimeSpan.FromSeconds(2);

    /// <summary>Where the gateway listens.</summary>
    internal sealed record Endpoints(IPEndPoint Http, IPEndPoint Tcp);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        try
        {
            await ReportAsync(stoppingToken).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            // The program ends before it was ready.
        }
    }

    private async Task ReportAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Interval);
        DateTime next = DateTime.UtcNow + Quiet;
        string? said = null;
        while (await timer.WaitForNextTickAsync(stoppingToken).ConfigureAwait(false))
        {
            ClusterSnapshot snapshot = await service.GetSnapshotAsync(stoppingToken).ConfigureAwait(false);
            if (snapshot.Ready)
            {
                int stages = snapshot.Replicas[0].Stages.Count;
                Console.WriteLine($"ready     {stages} {(stages == 1 ? "stage" : "stages")}; try: curl http://{endpoints.Http}/v1/models");
                return;
            }

            string state = Describe(snapshot);
            if (DateTime.UtcNow < next || state == said)
                continue;
            Console.WriteLine($"starting  {state}");
            (said, next) = (state, DateTime.UtcNow + Quiet);
        }
    }

    private static string Describe(ClusterSnapshot snapshot)
    {
        StageSnapshot[] stages = [.. snapshot.Replicas.SelectMany(replica => replica.Stages)];
        return stages.Length == 0
            ? snapshot.Reasons.Count > 0 ? snapshot.Reasons[0] : "waiting for stage nodes"
            : string.Join(", ", stages.Select((stage, i) => string.Create(CultureInfo.InvariantCulture, $"stage {i} on {stage.Node}: {stage.State} {100 * stage.LoadedFraction:0} %")));
    }
}
