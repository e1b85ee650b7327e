using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Gateway.Draining;
using Llama3Cluster.Gateway.Http.Endpoints;
using Llama3Cluster.Gateway.Http.Errors;
using Llama3Cluster.Gateway.Http.Security;
using Llama3Cluster.Gateway.Http.Streaming;
using Llama3Cluster.Gateway.Metrics;
using Llama3Cluster.Gateway.Web;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace Llama3Cluster.Gateway.Http;

/// <summary>The gateway's HTTP endpoints: OpenAI's API, the cluster's state and the web page.</summary>
public static class InferenceEndpoints
{
    /// <summary>
    /// Registers the endpoints' services, and their middleware (API key, error shape, CORS), which takes its place before
    /// everything else by itself. The host registers an <see cref="IInferenceService"/>.
    /// </summary>
    /// <exception cref="ArgumentException">A setting cannot be used; the message names it.</exception>
    public static IServiceCollection AddInferenceEndpoints(this IServiceCollection services, EndpointOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        services.AddRouting();
        services.AddCors();
        services.AddSingleton(options);
        services.AddSingleton<CompletionRunner>();
        services.AddGatewayDrain(DrainOptions.Default);
        services.AddSingleton(_ => new PrometheusExporter(GenerationMetrics.MeterPrefix, "Microsoft.AspNetCore.Hosting"));
        services.AddSingleton<IStartupFilter, EndpointMiddleware>();
        services.Configure<KestrelServerOptions>(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = options.MaxRequestBytes;
        });
        return services;
    }

    /// <summary>Maps the endpoints.</summary>
    public static IEndpointRouteBuilder MapInferenceEndpoints(this IEndpointRouteBuilder routes)
    {
        routes.MapCompletions();
        routes.MapService();
        routes.MapWebPage();
        return routes;
    }

    /// <summary>Puts the middleware before whatever the host adds.</summary>
    private sealed class EndpointMiddleware(EndpointOptions options) : IStartupFilter
    {
        public Action<IApplicationBuilder> Configure(Action<IApplicationBuilder> next) => app =>
        {
            // It measures from its creation on, not from the first scrape.
            app.ApplicationServices.GetRequiredService<PrometheusExporter>();
            app.UseMiddleware<ErrorMiddleware>();
            app.UseMiddleware<HostMiddleware>();
            // Before the key: a browser asks whether it may call without sending one.
            if (options.CorsOrigins.Count > 0)
                app.UseCors(policy => policy.WithOrigins([.. options.CorsOrigins]).AllowAnyHeader().AllowAnyMethod());
            app.UseMiddleware<ApiKeyMiddleware>();
            next(app);
        };
    }
}
