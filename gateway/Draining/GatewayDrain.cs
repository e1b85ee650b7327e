using Llama3Cluster.Actors.Hosting;
using Llama3Cluster.Actors.Inference;

namespace Llama3Cluster.Gateway.Draining;

/// <summary>How a gateway stops.</summary>
/// <param name="Time">How long answers that run may go on before their streams are closed.</param>
public sealed record DrainOptions(TimeSpan Time)
{
    /// <summary>Ten seconds.</summary>
    public static readonly DrainOptions Default = new(TimeSpan.FromSeconds(10));
}

/// <summary>
/// Stops a gateway without loss: new requests are refused and readiness turns false; clients that can go on elsewhere are told so
/// at once if there is another gateway; the others may finish within a time, after which their streams are closed, and can be
/// resumed too. Only then do the endpoints end and the node leaves its cluster.
/// </summary>
public sealed class GatewayDrain(DrainOptions options, IServiceProvider services, ILogger<GatewayDrain> logger) : IHostedLifecycleService, IDisposable
{
    private static readonly TimeSpan SnapshotTimeout = TimeSpan.FromSeconds(1);

    private readonly CancellationTokenSource _draining = new();
    private readonly CancellationTokenSource _handingOver = new();
    private readonly CancellationTokenSource _closing = new();
    private readonly TaskCompletionSource _idle = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _running = 1; // one for the gateway itself, until it drains

    /// <summary>Cancelled when no new request is taken any more.</summary>
    public CancellationToken Draining => _draining.Token;

    /// <summary>Cancelled when clients that can do so shall go on at another gateway.</summary>
    public CancellationToken HandingOver => _handingOver.Token;

    /// <summary>Cancelled when every stream ends.</summary>
    public CancellationToken Closing => _closing.Token;

    /// <summary>Notes a request that runs until it is disposed of; null when no more are taken.</summary>
    public IDisposable? TryEnter()
    {
        Interlocked.Increment(ref _running);
        if (!_draining.IsCancellationRequested)
            return new Running(this);
        Leave();
        return null;
    }

    /// <inheritdoc/>
    public async Task StoppingAsync(CancellationToken cancellationToken)
    {
        if (_draining.IsCancellationRequested)
            return;
        await _draining.CancelAsync();
        Leave();
        if (_idle.Task.IsCompleted)
            return;
        bool another = await HasAnotherGatewayAsync(cancellationToken);
        logger.LogInformation(
            "Stopping: {Count} answers may finish within {Seconds:0.#} s{Elsewhere}.",
            Volatile.Read(ref _running), options.Time.TotalSeconds, another ? ", or go on at another gateway" : "");
        if (another)
            await _handingOver.CancelAsync();
        await _idle.Task.WaitAsync(options.Time, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await _closing.CancelAsync();
        await _idle.Task.WaitAsync(SnapshotTimeout, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    /// <inheritdoc/>
    public Task StartingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <inheritdoc/>
    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <inheritdoc/>
    public Task StartedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <inheritdoc/>
    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <inheritdoc/>
    public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <inheritdoc/>
    public void Dispose()
    {
        _draining.Dispose();
        _handingOver.Dispose();
        _closing.Dispose();
    }

    private void Leave()
    {
        if (Interlocked.Decrement(ref _running) == 0)
            _idle.TrySetResult();
    }

    private async Task<bool> HasAnotherGatewayAsync(CancellationToken cancellationToken)
    {
        try
        {
            ClusterSnapshot snapshot = await services.GetRequiredService<IInferenceService>()
                .GetSnapshotAsync(cancellationToken).WaitAsync(SnapshotTimeout, cancellationToken);
            return snapshot.Nodes.Count(node => node.Status == "up" && node.Roles.Contains(ClusterNode.GatewayRole)) > 1;
        }
        catch (Exception error) when (error is TimeoutException or OperationCanceledException)
        {
            return false;
        }
    }

    private sealed class Running(GatewayDrain drain) : IDisposable
    {
        private int _left;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _left, 1) == 0)
                drain.Leave();
        }
    }
}

/// <summary>Registers the drain.</summary>
public static class GatewayDrainServices
{
    /// <summary>Adds the drain; whoever calls first decides its options.</summary>
    public static IServiceCollection AddGatewayDrain(this IServiceCollection services, DrainOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        if (services.Any(service => service.ServiceType == typeof(GatewayDrain)))
            return services;
        services.AddSingleton(options);
        services.AddSingleton<GatewayDrain>();
        services.AddHostedService(provider => provider.GetRequiredService<GatewayDrain>());
        services.Configure<HostOptions>(host => host.ShutdownTimeout = options.Time + TimeSpan.FromSeconds(20));
        return services;
    }
}
